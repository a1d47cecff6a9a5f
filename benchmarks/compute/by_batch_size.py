"""Training steps by batch size and mode."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from benchmarks.measuring.alternate import Measurement, alternate
from benchmarks.measuring.result_file import COMPUTE
from benchmarks.measuring.table import figure_columns, report
from benchmarks.measuring.text import counted, figure
from pipeline.errors import DataError, MisuseError

if TYPE_CHECKING:
    from benchmarks.compute.steps import Steps
    from trainer.distributed.collectives import World
from benchmarks.compute.config import BAR, BATCH_SIZES, MODES, ComputeBenchmark


def _measure(benchmark: ComputeBenchmark, world: "World") -> None:
    contenders, notes = _prepared(_contenders(benchmark, world))
    if not contenders:
        raise DataError(f"{' '.join(notes)} Give a smaller --batch-size.")
    rows = alternate(
        contenders, runs=benchmark.runs, warmup=benchmark.warmup, shows=world.rank == 0
    )
    if world.rank == 0:
        _report(benchmark, world, contenders, rows, notes)


def _prepared(contenders: Mapping[str, "Steps"]) -> tuple[dict[str, "Steps"], list[str]]:
    """Those that the device has memory for, and what is to be said of the others."""
    import torch

    ready, notes = {}, []
    for name, steps in contenders.items():
        try:
            steps.prepare()
        except torch.OutOfMemoryError:
            notes.append(f"{name}: the GPU's memory is too small.")
            torch.cuda.empty_cache()
        else:
            ready[name] = steps
    return ready, notes


def _contenders(benchmark: ComputeBenchmark, world: "World") -> dict[str, "Steps"]:
    from benchmarks.compute.steps import CHANNELS_LAST, Steps, build_trained

    kind = world.device.type
    modes = benchmark.mode or (MODES if kind == "cuda" else (CHANNELS_LAST,))
    sizes = benchmark.batch_size or BATCH_SIZES[kind]
    contenders = {}
    for mode in modes:
        trained = build_trained(
            benchmark.model,
            mode=mode,
            image_size_px=benchmark.image_size,
            precision=benchmark.precision,
            world=world,
        )
        for size in sizes:
            name = f"{mode}, batch {size}"
            contenders[name] = Steps(trained=trained, batch_size=size, seconds=benchmark.seconds)
    return contenders


def _report(
    benchmark: ComputeBenchmark,
    world: "World",
    contenders: Mapping[str, "Steps"],
    rows: list[Measurement],
    notes: list[str],
) -> None:
    from benchmarks.compute.utilization import COLUMNS, device_name, figures_of, find_ceiling

    figures = {
        row.name: figures_of(contenders[row.name], row.median, benchmark.precision) for row in rows
    }
    name = device_name(world.device)
    report(
        f"compute: {benchmark.model} at {benchmark.image_size} px, "
        f"{counted(world.world_size, 'rank')} on {name}",
        "images/s",
        rows,
        kind=COMPUTE,
        rows={
            row.name: {
                "mode": contenders[row.name].trained.mode,
                "batch_size": contenders[row.name].batch_size,
            }
            for row in rows
        },
        facts={
            "device": name,
            "world_size": world.world_size,
            "settings": asdict(benchmark),
            "figures": figures,
            "gradient_bytes": next(iter(contenders.values())).gradient_bytes,
        },
        columns=figure_columns(figures, COLUMNS),
        notes=notes,
        finding=find_ceiling(rows, figures),
        output=benchmark.output,
    )


def _measure_bare(benchmark: ComputeBenchmark, world: "World") -> None:
    from benchmarks.compute.steps import bare_steps

    if len(benchmark.batch_size) > 1 or len(benchmark.mode) > 1:
        raise MisuseError("--bare takes one --batch-size and one --mode.")
    mode, size = benchmark.mode or ("channels-last",), benchmark.batch_size or (32,)
    chosen = replace(benchmark, mode=mode, batch_size=size)
    (steps,) = _contenders(chosen, world).values()
    steps.prepare()
    rows = alternate(
        {"bare": bare_steps(steps), "trainer": steps},
        runs=benchmark.runs,
        warmup=benchmark.warmup,
    )
    if world.rank > 0:
        return
    bare, trainer = (row.median for row in rows)
    report(
        f"compute: {benchmark.model} at {benchmark.image_size} px, batch {size[0]}, {mode[0]}",
        "images/s",
        rows,
        kind="bench-compute --bare",
        facts={"ratio": trainer / bare, "bar": BAR, "steps": steps.steps},
        finding=f"The trainer's loop gives {figure(trainer)} images/s, {trainer / bare:.3f} of a "
        f"bare loop's {figure(bare)}.",
        output=benchmark.output,
    )
