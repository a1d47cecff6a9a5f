"""bench-compute: the trainer's steps on synthetic batches, without any wait for input."""

from typing import Any

import click

from benchmarks.compute.config import ComputeBenchmark
from benchmarks.measuring.config import FROM_ENVIRONMENT
from pipeline.options import Command, options, pick_fields


@click.command(cls=Command, context_settings=FROM_ENVIRONMENT)
@options(ComputeBenchmark)
def main(**values: Any) -> None:
    """Measure the trainer's steps on synthetic batches, by batch size and mode. Start several ranks
    by torchrun -m benchmarks.compute."""
    benchmark = pick_fields(ComputeBenchmark, values)

    # torch takes seconds to import: neither --help nor an error above waits for it.
    from benchmarks.compute.by_batch_size import measure_bare, measure_steps
    from trainer.distributed.process_group import open_world

    with open_world(benchmark.device) as world:
        (measure_bare if benchmark.bare else measure_steps)(benchmark, world)


if __name__ == "__main__":
    main()
