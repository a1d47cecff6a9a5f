"""bench-loader: the input pipeline alone, on a shard directory: which stage is the limit?"""

from dataclasses import dataclass
from typing import Any

import click

from benchmarks.command import FROM_ENVIRONMENT
from benchmarks.measure import Measuring
from pipeline.config import PipelineConfig
from pipeline.errors import MisuseError
from pipeline.options import Command, options, setting, take, within
from pipeline.profile_file import profile_file

SWEEPS = ("threads", "batch", "hw-decoder-load", "cache", "format")


@dataclass(frozen=True, kw_only=True)
class LoaderBenchmark(Measuring):
    sweep: str | None = setting(
        None,
        "Measure the whole loader at several values of one setting instead.",
        type=click.Choice(SWEEPS),
    )
    doctor: bool = setting(False, "Look at shards and machine for what will be slow, and say why.")
    tune: bool = setting(
        False, "Find threads, prefetch and read-ahead for this machine, and write a profile."
    )
    profile_out: str = setting(
        "profile.json", "File that --tune writes, for --profile-file of later runs."
    )
    batch_size: int = setting(64, "Images in a batch.")
    seconds: float = setting(0.5, "Length of a run.")
    split: str = setting("train", "Split to read.")

    def __post_init__(self) -> None:
        super().__post_init__()
        within("--batch-size", self.batch_size, 1)
        within("--seconds", self.seconds, 0.01)
        if (self.sweep is not None) + self.doctor + self.tune > 1:
            raise MisuseError("--sweep, --doctor and --tune are done one at a time.")


@click.command(cls=Command, context_settings=FROM_ENVIRONMENT)
@profile_file
@options(LoaderBenchmark, PipelineConfig)
def main(**values: Any) -> None:
    """Measure the input pipeline alone, without a model: rung by rung, from warm and cold files."""
    benchmark, config = take(LoaderBenchmark, values), take(PipelineConfig, values)

    # torch and DALI take seconds to import: --help doesn't wait for them.
    if benchmark.sweep is not None:
        from benchmarks.loader_sweeps import measure_sweep as measure
    elif benchmark.doctor:
        from benchmarks.loader_doctor import measure_health as measure
    elif benchmark.tune:
        from benchmarks.loader_tune import measure_tuning as measure
    else:
        from benchmarks.loader_rungs import measure_rungs as measure
    measure(benchmark, config)


if __name__ == "__main__":
    main()
