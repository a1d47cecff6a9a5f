"""The ranks of bench-scaling, as torchrun starts them: ``-m benchmarks.scaling.ranks JOB``.

All sizes are measured in one start of the largest: the first N ranks are a world of their own, the
others wait. So sizes alternate run by run, and what drifts falls on all of them.
"""

import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click
import torch

from benchmarks.measuring.alternate import alternate
from benchmarks.measuring.page_cache import can_be_cold, resident_when_dropped
from benchmarks.scaling.cpu_affinity import pin
from benchmarks.scaling.inputs import Inputs, open_inputs
from benchmarks.scaling.plan import Size
from benchmarks.scaling.record import APART, COLD, IN_STEP, MEMORY, RUNGS, Measured
from benchmarks.scaling.timed_steps import Laps
from trainer.config import Settings
from trainer.distributed.collectives import World
from trainer.distributed.exit import entry
from trainer.distributed.process_group import open_world
from trainer.setup import TrainingRun, build_run

# Ranks, and images of a rank's step.
Shape = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class RanksJob:
    """What the ranks are told.

    Attributes:
        settings: the trainer's, by name.
        folder: for what the trainer makes when it is prepared.
        result: file that rank 0 writes.
    """

    sizes: tuple[Size, ...]
    settings: dict[str, Any]
    seconds: float
    runs: int
    warmup: int
    cores_per_rank: int | None
    folder: str
    result: str

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> "RanksJob":
        values = json.loads(path.read_text())
        sizes = tuple(Size(**size) for size in values.pop("sizes"))
        settings = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.pop("settings").items()
        }
        return cls(sizes=sizes, settings=settings, **values)


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
def main(path: Path) -> None:
    """Measure what the file PATH asks for."""
    job = RanksJob.read(path)
    settings = Settings.from_options(**job.settings)
    device, timeout = settings.machine.device, settings.run.rank_timeout
    on_gpu = device != "cpu" and torch.cuda.is_available()
    cores = pin(
        int(os.environ.get("LOCAL_RANK", "0")), cores_per_rank=job.cores_per_rank, on_gpu=on_gpu
    )
    with open_world(device, timeout_seconds=timeout) as world:
        measured = measure(job, settings, world, cores)
        if world.rank == 0:
            records = [asdict(each) for each in measured]
            Path(job.result).write_text(json.dumps(records, allow_nan=False))


def measure(job: RanksJob, settings: Settings, whole: World, cores: list[int]) -> list[Measured]:
    """All rungs of all sizes, alternating; complete on rank 0."""
    threads = settings.pipeline.threads or len(cores)
    settings = replace(settings, pipeline=replace(settings.pipeline, threads=threads))
    world_sizes = dict.fromkeys(size.world_size for size in job.sizes)
    worlds = {ranks: whole.subgroup(ranks) for ranks in world_sizes}
    inputs: dict[Shape, Inputs | None] = {}
    names: dict[Shape, tuple[str, ...]] = {}
    for shape in dict.fromkeys(size.shape for size in job.sizes):
        world = worlds[shape[0]]
        own = inputs[shape] = _open(settings, world, shape, job.folder) if world else None
        names[shape] = whole.broadcast(_rungs(own) if own else ())
    laps = {
        (shape, rung): Laps(rung=rung, inputs=own, whole=whole, seconds=job.seconds)
        for rung in RUNGS
        for shape, own in inputs.items()
        if own and rung in names[shape]
    }

    def wait() -> float:
        whole.barrier()
        return 0.0

    contenders = {
        f"{shape} {rung}": laps.get((shape, rung), wait)
        for rung in RUNGS
        for shape in inputs
        if rung in names[shape]
    }
    alternate(contenders, runs=job.runs, warmup=job.warmup, shows=whole.rank == 0)
    rank_cores = whole.all_gather_objects([tuple(cores)])
    return [
        Measured(
            mode=size.mode,
            world_size=size.world_size,
            nodes=-(-size.world_size // whole.local_world_size),
            batch_size=size.batch_size,
            gradient_bytes=_gradient_bytes(own.job),
            rungs={rung: laps[size.shape, rung].result(job.runs) for rung in names[size.shape]},
            rank_cores=tuple(rank_cores[: size.world_size]),
        )
        for size in job.sizes
        if (own := inputs[size.shape])
    ]


def _open(settings: Settings, world: World, shape: Shape, folder: str) -> Inputs:
    ranks, batch_size = shape
    out = str(Path(folder, f"{ranks}-{batch_size}"))
    return open_inputs(
        build_run(
            replace(
                settings,
                recipe=replace(settings.recipe, global_batch_size=ranks * batch_size),
                run=replace(settings.run, out=out, resume="never"),
            ),
            world,
        )
    )


def _rungs(inputs: Inputs) -> tuple[str, ...]:
    """Those that can be told apart here."""
    source = inputs.stream.context
    left_out = set()
    if inputs.job.world.world_size == 1:
        left_out |= {APART, IN_STEP}
    if source.decoded_cache is not None:
        # Decoded images stay in memory: no bytes are read again.
        left_out |= {MEMORY, COLD}
    if source.index.cache is not None or not can_be_cold(resident_when_dropped(inputs.files)):
        left_out.add(COLD)
    return tuple(rung for rung in RUNGS if rung not in left_out)


def _gradient_bytes(job: TrainingRun) -> int:
    weights = [each for each in job.model.parameters() if each.requires_grad]
    if job.settings.machine.compress_gradients:
        return sum(2 * each.numel() for each in weights)
    return sum(each.nbytes for each in weights)


if __name__ == "__main__":
    entry(main)
