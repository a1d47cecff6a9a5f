"""What ``--accumulate-steps auto`` costs beside the number that it found:
``torchrun --nproc_per_node 2 -m benchmarks.micro_batches``."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal

import click

from benchmarks.measuring.alternate import alternate, ratio
from benchmarks.measuring.config import FROM_ENVIRONMENT, Measuring
from benchmarks.measuring.table import report
from pipeline.options import COUNT, Command, options, pick_fields, setting
from pipeline.text import plural

if TYPE_CHECKING:
    from trainer.distributed.collectives import World

AUTO = "auto"


@dataclass(frozen=True, kw_only=True)
class MicroBatchesBenchmark(Measuring):
    """Options of the command."""

    model: str = setting("resnet18", "Model, as the trainer's.")
    batch_size: int = setting(32, "Images of a step on each rank.", COUNT)
    image_size: int = setting(64, "Side of the images in px.", COUNT)
    accumulate_steps: int = setting(2, "Micro-batches that are given, and that auto has.", COUNT)
    steps: int = setting(5, "Steps of a repetition.", COUNT)
    device: Literal["auto", "cpu", "cuda"] = setting("auto", "Device, as the trainer's.")


@click.command(cls=Command, context_settings=FROM_ENVIRONMENT)
@options(MicroBatchesBenchmark)
def main(**values: object) -> None:
    """Measure the trainer's steps on synthetic batches with a given number of micro-batches, whose
    gradients DDP exchanges during the backward pass, and with auto at the same number."""
    benchmark = pick_fields(MicroBatchesBenchmark, values)
    from benchmarks.measuring.laps import measure_world_lap
    from trainer.distributed.process_group import open_world

    given = str(benchmark.accumulate_steps)
    with open_world(benchmark.device) as world, ExitStack() as stack:
        folder = world.broadcast(stack.enter_context(TemporaryDirectory()))

        def measure(work: Callable[[], int]) -> float:
            return measure_world_lap(work, world).images_per_second

        candidates = {}
        for name in (given, AUTO):
            images = _steps(benchmark, name, world, Path(folder, name))
            candidates[name] = partial(measure, partial(_draw, images, benchmark.steps))
        rows = alternate(
            candidates, runs=benchmark.runs, warmup=benchmark.warmup, show_progress=world.rank == 0
        )
        rank, ranks = world.rank, world.world_size
    if rank > 0:
        return
    share = ratio(rows[1], rows[0]).median
    report(
        f"{benchmark.model} at {benchmark.image_size} px on {plural(ranks, 'rank')}",
        "images/s",
        rows,
        kind="benchmarks.micro_batches",
        facts={"settings": asdict(benchmark), "world_size": ranks},
        finding=f"--accumulate-steps auto trains at {share:.3f} times the rate of {given}.",
        output=benchmark.output,
    )


def _steps(
    benchmark: MicroBatchesBenchmark, accumulate_steps: str, world: "World", out: Path
) -> Iterator[int]:
    """Endless steps of the trainer; yields the images of each on this rank."""
    from trainer.config import Settings
    from trainer.setup import build_run
    from trainer.train import training_steps, with_threads

    settings = Settings.from_options(
        synthetic=True,
        model=benchmark.model,
        global_batch_size=benchmark.batch_size * world.world_size,
        image_size=benchmark.image_size,
        accumulate_steps=AUTO if accumulate_steps == AUTO else int(accumulate_steps),
        device=benchmark.device,
        out=str(out),
    )
    run = build_run(with_threads(settings, world), world)
    if run.train_step.micro_batches:
        run.train_step.micro_batches.count = benchmark.accumulate_steps
    with run.batches(0, None) as batches:
        for record in training_steps(run, batches):
            yield record.images


def _draw(images: Iterator[int], steps: int) -> int:
    return sum(next(images) for _ in range(steps))


if __name__ == "__main__":
    from trainer.distributed.exit import entry

    entry(main)
