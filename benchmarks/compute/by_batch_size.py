"""Training steps by batch size and mode."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

import torch

from benchmarks.compute.config import (
    BATCH_SIZES,
    CHANNELS_LAST,
    COMPILED,
    GRAPHS,
    MODES,
    TARGET,
    ComputeBenchmark,
)
from benchmarks.compute.steps import Steps, bare_steps, prepare_model
from benchmarks.compute.utilization import COLUMNS, describe_ceiling, device_name, utilization
from benchmarks.measuring.alternate import Measurement, alternate
from benchmarks.measuring.result_file import COMPUTE
from benchmarks.measuring.table import figure_columns, report
from benchmarks.measuring.text import figure
from pipeline.errors import DataError
from pipeline.text import plural
from trainer.distributed.collectives import World


def measure_steps(benchmark: ComputeBenchmark, world: World) -> None:
    """Measure and report each batch size in each mode. Raises ``DataError`` if none fits into the
    memory of the GPU."""
    ready, notes = {}, _compilation_notes(benchmark, world)
    for name, steps in _candidates(benchmark, world).items():
        try:
            steps.prepare()
        except torch.OutOfMemoryError:
            notes.append(f"{name}: out of GPU memory.")
            torch.cuda.empty_cache()
        else:
            ready[name] = steps
    if not ready:
        raise DataError(f"{' '.join(notes)} Give a smaller --batch-size.")
    rows = alternate(
        ready, runs=benchmark.runs, warmup=benchmark.warmup, show_progress=world.rank == 0
    )
    if world.rank == 0:
        _report(benchmark, world, ready, rows, notes)


def _compilation_notes(benchmark: ComputeBenchmark, world: World) -> list[str]:
    compiled = [mode for mode in _modes(benchmark, world) if mode in (COMPILED, GRAPHS)]
    return [f"{mode}: compiled once for each batch size." for mode in compiled]


def _modes(benchmark: ComputeBenchmark, world: World) -> Sequence[str]:
    return benchmark.mode or (MODES if world.device.type == "cuda" else (CHANNELS_LAST,))


def _candidates(benchmark: ComputeBenchmark, world: World) -> dict[str, Steps]:
    kind = world.device.type
    candidates = {}
    for mode in _modes(benchmark, world):
        model = prepare_model(
            benchmark.model,
            mode=mode,
            image_size_px=benchmark.image_size,
            precision=benchmark.precision,
            world=world,
        )
        for size in benchmark.batch_size or BATCH_SIZES[kind]:
            steps = Steps(model=model, batch_size=size, seconds=benchmark.seconds)
            candidates[f"{mode}, batch {size}"] = steps
    return candidates


def _report(
    benchmark: ComputeBenchmark,
    world: World,
    candidates: Mapping[str, Steps],
    rows: Sequence[Measurement],
    notes: Sequence[str],
) -> None:
    device = device_name(world.device)
    steps = {row.name: candidates[row.name] for row in rows}
    figures = {
        row.name: utilization(steps[row.name], row.median, benchmark.precision) for row in rows
    }
    report(
        f"compute: {benchmark.model} at {benchmark.image_size} px, "
        f"{plural(world.world_size, 'rank')} on {device}",
        "images/s",
        rows,
        kind=COMPUTE,
        rows={
            name: {"mode": each.model.mode, "batch_size": each.batch_size}
            for name, each in steps.items()
        },
        facts={
            "device": device,
            "world_size": world.world_size,
            "settings": asdict(benchmark),
            "figures": figures,
            "gradient_bytes": next(iter(steps.values())).gradient_bytes,
        },
        columns=figure_columns(figures, COLUMNS),
        notes=notes,
        finding=describe_ceiling(rows, figures),
        output=benchmark.output,
    )


def measure_bare(benchmark: ComputeBenchmark, world: World) -> None:
    """Compare the trainer's loop with a bare one."""
    (mode,), (size,) = benchmark.mode or (CHANNELS_LAST,), benchmark.batch_size or (32,)
    (steps,) = _candidates(replace(benchmark, mode=(mode,), batch_size=(size,)), world).values()
    steps.prepare()
    rows = alternate(
        {"bare": bare_steps(steps), "trainer": steps}, runs=benchmark.runs, warmup=benchmark.warmup
    )
    if world.rank > 0:
        return
    bare, trainer = (row.median for row in rows)
    report(
        f"compute: {benchmark.model} at {benchmark.image_size} px, batch {size}, {mode}",
        "images/s",
        rows,
        kind="bench-compute --bare",
        facts={"ratio": trainer / bare, "bar": TARGET, "steps": steps.steps},
        finding=f"The trainer's loop gives {figure(trainer)} images/s, {trainer / bare:.3f} of "
        f"the rate of a bare loop ({figure(bare)} images/s).",
        output=benchmark.output,
    )
