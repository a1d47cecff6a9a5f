"""The ranks of bench-scaling, which torchrun starts: ``-m benchmarks.scaling.ranks REQUEST``.

One start of the largest world size measures all sizes: the first N ranks form a world of their own
while the others wait. The sizes alternate run by run, so drift affects all of them alike.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click
import torch

from benchmarks.measuring.alternate import alternate
from benchmarks.measuring.entries import from_json
from benchmarks.measuring.page_cache import can_be_cold, resident_when_dropped
from benchmarks.scaling.cpu_affinity import pin
from benchmarks.scaling.inputs import Inputs, open_inputs
from benchmarks.scaling.plan import Size
from benchmarks.scaling.record import (
    COLD,
    LOCKSTEP,
    MEMORY,
    NO_ALL_REDUCE,
    RUNGS,
    LadderMeasurement,
)
from benchmarks.scaling.timed_steps import TimedSteps
from pipeline.options import Command
from trainer.config import Settings
from trainer.distributed.collectives import World
from trainer.distributed.exit import entry
from trainer.distributed.process_group import open_world
from trainer.setup import build_run
from trainer.training_run import TrainingRun

# Ranks, and batch size of a rank.
Shape = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class RanksRequest:
    """The task of the ranks.

    Attributes:
        settings: the trainer's, by name.
        folder: for the files of the trainer.
        result: file that rank 0 writes.
    """

    sizes: tuple[Size, ...]
    settings: Mapping[str, Any]
    seconds: float
    runs: int
    warmup: int
    cores_per_rank: int | None
    folder: str
    result: str


@click.command(cls=Command)
@click.argument("path", type=click.Path(path_type=Path))
def main(path: Path) -> None:
    """Measure the sizes of the request in the file PATH."""
    request = from_json(RanksRequest, json.loads(path.read_text()))
    settings = Settings.from_options(**request.settings)
    device, timeout = settings.machine.device, settings.run.rank_timeout
    cores = pin(
        int(os.environ.get("LOCAL_RANK", "0")),
        cores_per_rank=request.cores_per_rank,
        on_gpu=device != "cpu" and torch.cuda.is_available(),
    )
    with open_world(device, timeout_seconds=timeout) as world:
        measurements = measure(request, settings, world, cores)
        if world.rank == 0:
            records = [asdict(measurement) for measurement in measurements]
            Path(request.result).write_text(json.dumps(records, allow_nan=False))


def measure(
    request: RanksRequest, settings: Settings, whole: World, cores: list[int]
) -> list[LadderMeasurement]:
    """All rungs of all sizes, alternating; complete on rank 0."""
    threads = settings.pipeline.threads or len(cores)
    settings = replace(settings, pipeline=replace(settings.pipeline, threads=threads))
    inputs, rungs = _open_all(request, settings, whole)
    steps = {
        (shape, rung): TimedSteps(
            rung=rung, inputs=inputs[shape], whole=whole, seconds=request.seconds
        )
        for shape in inputs
        for rung in rungs[shape]
    }

    def wait() -> float:
        whole.barrier()
        return 0.0

    candidates = {
        f"{shape} {rung}": steps.get((shape, rung), wait)
        for rung in RUNGS
        for shape in rungs
        if rung in rungs[shape]
    }
    alternate(candidates, runs=request.runs, warmup=request.warmup, show_progress=whole.rank == 0)
    rank_cores = whole.all_gather_objects([tuple(cores)])
    return [
        LadderMeasurement(
            mode=size.mode,
            world_size=size.world_size,
            nodes=-(-size.world_size // whole.local_world_size),
            batch_size=size.batch_size,
            gradient_bytes=_gradient_bytes(inputs[shape].run),
            rungs={rung: steps[shape, rung].to_rung(request.runs) for rung in rungs[shape]},
            rank_cores=tuple(rank_cores[: size.world_size]),
        )
        for size in request.sizes
        if (shape := size.shape) in inputs
    ]


def _open_all(
    request: RanksRequest, settings: Settings, whole: World
) -> tuple[dict[Shape, Inputs], dict[Shape, tuple[str, ...]]]:
    """The inputs of the shapes that this rank is part of, and the rungs of all shapes."""
    world_sizes = dict.fromkeys(size.world_size for size in request.sizes)
    worlds = {ranks: whole.subgroup(ranks) for ranks in world_sizes}
    inputs: dict[Shape, Inputs] = {}
    rungs: dict[Shape, tuple[str, ...]] = {}
    for shape in dict.fromkeys(size.shape for size in request.sizes):
        if world := worlds[shape[0]]:
            inputs[shape] = _open(settings, world, shape, request.folder)
        rungs[shape] = whole.broadcast(_rungs(inputs[shape]) if world else ())
    return inputs, rungs


def _open(settings: Settings, world: World, shape: Shape, folder: str) -> Inputs:
    ranks, batch_size = shape
    out = str(Path(folder, f"{ranks}-{batch_size}"))
    recipe = replace(settings.recipe, global_batch_size=ranks * batch_size)
    run = replace(settings.run, out=out, resume="never")
    return open_inputs(build_run(replace(settings, recipe=recipe, run=run), world))


def _rungs(inputs: Inputs) -> tuple[str, ...]:
    """The rungs that can differ here."""
    source = inputs.stream.context
    excluded = set()
    if inputs.run.world.world_size == 1:
        excluded |= {NO_ALL_REDUCE, LOCKSTEP}
    if source.decoded_cache is not None:
        # The loader keeps decoded images in memory and reads no file again.
        excluded |= {MEMORY, COLD}
    if source.index.cache is not None or not can_be_cold(resident_when_dropped(inputs.files)):
        excluded.add(COLD)
    return tuple(rung for rung in RUNGS if rung not in excluded)


def _gradient_bytes(run: TrainingRun) -> int:
    weights = [weight for weight in run.model.parameters() if weight.requires_grad]
    if run.settings.machine.compress_gradients:
        return sum(2 * weight.numel() for weight in weights)
    return sum(weight.nbytes for weight in weights)


if __name__ == "__main__":
    entry(main)
