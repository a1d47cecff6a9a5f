"""bench-scaling: the trainer at several world sizes: what does each lose, and where?"""

from typing import Any

import click
from click.core import ParameterSource

from benchmarks.measuring.config import FROM_ENVIRONMENT
from benchmarks.scaling.config import ScalingBenchmark
from pipeline.errors import MisuseError
from pipeline.options import Command, options, pick_fields
from pipeline.profile_file import profile_file
from trainer.config import CONFIGS, Settings
from trainer.recipes import recipe_option


@click.command(cls=Command, context_settings=FROM_ENVIRONMENT)
@recipe_option
@profile_file
@options(ScalingBenchmark, *CONFIGS)
@click.pass_context
def main(context: click.Context, /, **values: Any) -> None:
    """Measure the trainer's loop at several world sizes: how much of each step goes to computing,
    exchanging gradients, waiting for the slowest rank, and input.

    The model and all else are the trainer's, by the trainer's options; on a CPU ResNet-18 unless
    told otherwise. --global-batch-size is that of strong scaling, by default --batch-size times the
    smallest size, or so much more that all sizes divide it. With --max-minutes or --to-end whole
    trainings are compared instead, one at each size.
    """
    benchmark, settings = pick_fields(ScalingBenchmark, values), Settings.from_options(**values)
    if settings.machine.synthetic:
        raise MisuseError("bench-scaling measures real input: leave out --synthetic.")
    typed = {
        name: value
        for name, value in settings.to_dict().items()
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT
    }

    # torch takes seconds to import: --help doesn't wait for it.
    if benchmark.to_end or settings.run.max_minutes is not None:
        from benchmarks.scaling.to_end import measure_trainings as measure
    else:
        from benchmarks.scaling.measure_ladder import measure_ladder as measure
    measure(benchmark, settings, typed)


if __name__ == "__main__":
    main()
