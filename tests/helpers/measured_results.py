"""Results of benchmarks with given rates."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.loader.config import AUGMENT, COLD, DECODE, FULL, HAND_OVER, READ
from benchmarks.measuring.alternate import Measurement
from benchmarks.measuring.result_file import BY_STAGE, COMPUTE, SWEEP, TRAININGS
from benchmarks.measuring.table import report

STAGES = {READ: 0.1, DECODE: 0.6, AUGMENT: 0.2, HAND_OVER: 0.05, FULL: 0.05}


def measured(
    path: Path, rates: Mapping[str, float], *, kind: str = "another", **facts: Any
) -> Path:
    """A result as a benchmark writes it."""
    rows = [
        Measurement(name=name, values=(rate, 1.02 * rate, 0.99 * rate))
        for name, rate in rates.items()
    ]
    report(path.stem, "images/s", rows, kind=kind, facts=facts, output=str(path))
    return path


def loader(path: Path, full: float, *, threads: int = 8, **facts: Any) -> Path:
    """A result of bench-loader with `full` images/s."""
    rates = {name: 10 * full - index * 2.25 * full for index, name in enumerate(STAGES)}
    return measured(
        path,
        rates | {COLD[FULL]: full / 2},
        kind=BY_STAGE,
        threads=threads,
        share_of_time=STAGES,
        settings={"sweep": None},
        **facts,
    )


def compute(path: Path, rate: float) -> Path:
    return measured(
        path,
        {"channels-last, batch 32": rate / 2, "channels-last, batch 64": rate},
        kind=COMPUTE,
        world_size=1,
        figures={f"channels-last, batch {size}": {"mfu": 0.5} for size in (32, 64)},
        settings={"model": "resnet50"},
    )


def sweep(path: Path, name: str, rates: Mapping[str, float]) -> Path:
    return measured(path, rates, kind=SWEEP, settings={"sweep": name}, threads=8, split_bytes=1000)


def trainings(path: Path) -> Path:
    """Trainings, the second without evaluations."""
    common = {"global_batch_size": 64, "seconds": 75.0, "epochs": 2.0, "metric": "top1"}
    rates = {"strong, 1 rank": 100.0, "strong, 2 ranks": 180.0}
    scores = (0.75, None)
    rows = [
        {**common, "images_per_second": rate, "final": score, "best": score}
        for rate, score in zip(rates.values(), scores, strict=True)
    ]
    return measured(path, rates, kind=TRAININGS, trainings=rows)
