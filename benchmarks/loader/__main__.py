"""bench-loader: the input pipeline without a model, and the stage that limits it."""

from typing import Any

import click

from benchmarks.loader.config import LoaderBenchmark
from benchmarks.measuring.config import FROM_ENVIRONMENT
from pipeline.config import PipelineConfig
from pipeline.errors import MisuseError
from pipeline.explicit_options import given_options
from pipeline.options import Command, options, pick_fields
from pipeline.settings_file import profile_file
from pipeline.shard_checks import check_shards


@click.command(cls=Command, context_settings=FROM_ENVIRONMENT)
@profile_file
@options(LoaderBenchmark, PipelineConfig)
@click.pass_context
def main(context: click.Context, /, **values: Any) -> None:
    """Measure the input pipeline without a model, stage by stage, from warm and cold files: which
    stage is the limit?"""
    benchmark, config = pick_fields(LoaderBenchmark, values), pick_fields(PipelineConfig, values)
    if benchmark.sweep in ("cache", "format") and "cache" in given_options(context, values):
        raise MisuseError(f"--sweep {benchmark.sweep} and --cache exclude each other: omit one.")
    check_shards(config, benchmark.split)

    # torch and DALI take seconds to import: neither --help nor an error above waits for them.
    if benchmark.sweep is not None:
        from benchmarks.loader.sweeps import measure_sweep as measure
    elif benchmark.doctor:
        from benchmarks.loader.doctor import measure_health as measure
    elif benchmark.tune:
        from benchmarks.loader.tuning import measure_tuning as measure
    else:
        from benchmarks.loader.by_stage import measure_stages as measure
    measure(benchmark, config)


if __name__ == "__main__":
    main()
