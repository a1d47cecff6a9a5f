"""Trainings of fixed duration on several inputs, each in a process of its own."""

import json
import math
import statistics
import subprocess
from collections.abc import Mapping
from functools import partial
from typing import Any

from benchmarks.measuring.alternate import alternate, ratio
from benchmarks.measuring.provenance import ROOT
from benchmarks.measuring.table import figure_columns, report
from benchmarks.measuring.text import figure
from benchmarks.on_gpu.config import GpuRun
from benchmarks.on_gpu.pictures import shards_folder
from pipeline.child_process import module_command, module_variables
from pipeline.console import print_line
from pipeline.errors import DataError
from pipeline.synthetic import SYNTHETIC_SAMPLES

SYNTHETIC, JPEG, PNG, MIXUP = "synthetic", "JPEG", "PNG", "JPEG, MixUp"
# Imports, the first steps and a compilation.
START_SECONDS = 100.0
COLUMNS = {
    "cores_used": ("cores", 1, ".2f"),
    "data_share": ("waiting for data", 1, ".1%"),
    "memory_bytes": ("memory, GB", 1e-9, ",.2f"),
}


def measure_trainings(
    config: GpuRun,
    output: str,
    *,
    names: tuple[str, ...],
    options: Mapping[str, Any] | None = None,
    runs: int = 1,
) -> None:
    """Measure and report the trainings `names`, with further `options` of the trainer.

    Raises ``DataError`` if one of them fails.
    """
    figures: dict[str, list[dict[str, float]]] = {}
    absent: dict[str, str] = {}

    def measure(name: str) -> float:
        if name in absent:
            return math.nan
        settings = training_options(config, name) | dict(options or {})
        try:
            figures.setdefault(name, []).append(run_training(settings))
        except DataError as error:
            absent[name] = error.message
            print_line(f"{name}: {error.message}", err=True)
            return math.nan
        print_line(f"{name}: {figures[name][-1]}", err=True)
        return figures[name][-1]["images_per_second"]

    measured = alternate({name: partial(measure, name) for name in names}, runs=runs, warmup=0)
    rows = [row for row in measured if row.name not in absent]
    if not rows:
        raise DataError("; ".join(f"{name}: {reason}" for name, reason in absent.items()))
    medians = {
        row.name: {
            field: statistics.median(each[field] for each in figures[row.name]) for field in COLUMNS
        }
        for row in rows
    }
    first, *others = rows
    texts = [f"{first.name} {figure(first.median)} images/s"]
    texts += [
        f"{row.name} {figure(row.median)}, {ratio(row, first).median:.3f} of {first.name}, "
        f"{medians[row.name]['cores_used']:.1f} cores"
        for row in others
    ]
    extra = "".join(f", {name} {value}" for name, value in (options or {}).items())
    report(
        f"Trainings of {length_of(config)}: {config.amounts.model}, batch "
        f"{config.amounts.batch_size}, {config.device}{extra}",
        "images/s",
        rows,
        kind="benchmarks.on_gpu trainings",
        facts={"figures": medians, "options": dict(options or {})},
        columns=figure_columns(medians, COLUMNS),
        absent=absent,
        finding=f"{'; '.join(texts)}.",
        output=output,
    )
    if absent:
        reasons = (f"{name}: {reason}" for name, reason in absent.items())
        raise DataError(f"These trainings failed: {'; '.join(reasons)}")


def length_of(config: GpuRun) -> str:
    steps = config.amounts.train_steps
    return f"{config.amounts.train_seconds:g} s" if steps is None else f"{steps} steps"


def training_options(config: GpuRun, name: str) -> dict[str, Any]:
    """The trainer's options for an input."""
    amounts = config.amounts
    shared = {
        "model": amounts.model,
        "image_size": amounts.image_size_px,
        "global_batch_size": amounts.batch_size,
        "device": config.device,
        "precision": amounts.precision,
        "log_every": amounts.log_every,
        "val_every": 0.0,
        "checkpoint_every": 0.0,
        "checkpoint_minutes": 0.0,
    }
    samples = SYNTHETIC_SAMPLES if name == SYNTHETIC else amounts.images
    if amounts.train_steps is None:
        shared["max_minutes"] = amounts.train_seconds / 60
    else:
        # Slightly more, as rounding must not take a step away.
        shared["epochs"] = (amounts.train_steps - 0.5) * amounts.batch_size / samples
    if name == SYNTHETIC:
        return shared | {"synthetic": True}
    form = "png" if name == PNG else "jpeg"
    mixed = {"mixup_alpha": 0.2} if name == MIXUP else {}
    return shared | {"shards": str(shards_folder(config, form) / "shards")} | mixed


def run_training(options: Mapping[str, Any]) -> dict[str, float]:
    """The figures of a training. Raises ``DataError`` with the last line that it printed."""
    command = module_command("benchmarks.on_gpu.one_training", json.dumps(options))
    limit_seconds = 60 * options.get("max_minutes", 0) + START_SECONDS
    try:
        ended = subprocess.run(
            command,
            cwd=ROOT,
            env=module_variables(),
            capture_output=True,
            text=True,
            check=False,
            timeout=limit_seconds,
        )
    except subprocess.TimeoutExpired:
        raise DataError(f"it did not end within {limit_seconds:.0f} s.") from None
    printed = [line for line in ended.stderr.splitlines() if line.strip()]
    print_line("\n".join(printed[-20:]), err=True)
    if ended.returncode:
        reason = printed[-1] if printed else "it printed no error"
        raise DataError(f"exit code {ended.returncode}: {reason}")
    figures: dict[str, float] = json.loads(ended.stdout.splitlines()[-1])
    return figures
