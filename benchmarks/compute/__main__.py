"""bench-compute: the trainer's own steps on synthetic batches: what the device gives when it never
waits for input."""

from typing import TYPE_CHECKING, Any

import click

from benchmarks.measuring.config import FROM_ENVIRONMENT
from pipeline.options import options, pick_fields

if TYPE_CHECKING:
    pass
from benchmarks.compute.by_batch_size import _measure, _measure_bare
from benchmarks.compute.config import ComputeBenchmark


@click.command(context_settings=FROM_ENVIRONMENT)
@options(ComputeBenchmark)
def main(**values: Any) -> None:
    """Measure the trainer's steps without input, by batch size and mode, on one rank or, under
    torchrun -m benchmarks.compute, on several."""
    benchmark = pick_fields(ComputeBenchmark, values)

    # torch takes seconds to import: --help doesn't wait for it.
    from trainer.distributed.process_group import open_world

    with open_world(benchmark.device) as world:
        (_measure_bare if benchmark.bare else _measure)(benchmark, world)


if __name__ == "__main__":
    main()
