"""bench-scaling: losses of training at several world sizes, and their causes."""

from typing import Any

import click

from benchmarks.measuring.config import FROM_ENVIRONMENT
from benchmarks.scaling.config import ScalingBenchmark, require_given_steps
from benchmarks.scaling.record import MODES
from pipeline.errors import MisuseError
from pipeline.explicit_options import given_options
from pipeline.options import Command, options, pick_fields
from pipeline.settings_file import profile_file
from trainer.config import CONFIGS, Settings
from trainer.first_checks import open_shards
from trainer.recipes import recipe_option


@click.command(cls=Command, context_settings=FROM_ENVIRONMENT)
@recipe_option
@profile_file
@options(ScalingBenchmark, *CONFIGS)
@click.pass_context
def main(context: click.Context, /, **values: Any) -> None:
    """Measure the trainer's loop at several world sizes: how much of each step is computing,
    exchanging gradients, waiting for the slowest rank, and waiting for input.

    The command takes all options of the trainer. The default model on a CPU is ResNet-18.
    --global-batch-size is the batch size of strong scaling. By default it is the smallest multiple
    of all world sizes that gives each rank of the smallest one its --batch-size. --max-minutes and
    --to-end compare whole trainings instead, one at each world size.
    """
    given = given_options(context, values)
    benchmark, settings = pick_fields(ScalingBenchmark, values), Settings.from_options(**given)
    if settings.machine.synthetic:
        raise MisuseError("bench-scaling measures real input: leave out --synthetic.")
    require_given_steps(settings)
    typed = {name: value for name, value in settings.to_dict().items() if name in given}
    open_shards(settings.pipeline)

    # torch takes seconds to import: neither --help nor an error above waits for it.
    if benchmark.to_end or settings.run.max_minutes is not None:
        from benchmarks.scaling.whole_trainings import measure_trainings

        measure_trainings(benchmark, settings, typed)
    else:
        from benchmarks.scaling.measure_scaling import measure_ladder

        measure_ladder(benchmark, settings, typed, modes=benchmark.mode or MODES)


if __name__ == "__main__":
    main()
