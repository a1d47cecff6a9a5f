"""Results of bench-scaling with given times, and predictions from them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.measuring.alternate import Measurement
from benchmarks.measuring.result_file import SCALING, verify
from benchmarks.measuring.table import report
from benchmarks.predict.__main__ import main
from benchmarks.scaling.points import build_points
from benchmarks.scaling.record import LadderMeasurement, Rung
from tests.helpers.cli import invoke


def predicted(*arguments: object) -> tuple[list[str], dict[str, Any]]:
    """The lines that bench-predict prints before its JSON, and the JSON."""
    result = invoke(main, *arguments)
    assert result.exit_code == 0, result.output
    *lines, line = result.output.splitlines()
    record = json.loads(line)
    verify(record, "stdout")
    return lines, record


def rung(milliseconds: float, ranks: int, wait: float | None = None) -> Rung:
    step = tuple(factor * milliseconds / 1e3 for factor in (1.0, 1.02, 0.99))
    return Rung(
        step_seconds=step,
        rank_seconds=tuple((seconds,) * ranks for seconds in step),
        data_seconds=(0.0,) * 3,
        wait_seconds=None if wait is None else (wait,) * 3,
        steps=4,
    )


def scaling(path: Path, by_ranks: Mapping[int, Mapping[str, float]]) -> Path:
    """Write a result of bench-scaling; `by_ranks`: ranks -> rung -> ms of a step of 8 images."""
    sizes = [
        LadderMeasurement(
            mode="weak",
            world_size=ranks,
            nodes=1,
            batch_size=8,
            gradient_bytes=26_214_400,
            rungs={name: rung(milliseconds, ranks, 0.0) for name, milliseconds in levels.items()},
            rank_cores=tuple((core,) for core in range(ranks)),
        )
        for ranks, levels in by_ranks.items()
    ]
    points = build_points(sizes, cores=2, fits_in_page_cache=True)
    rows = [Measurement(name=point.name, values=point.rates()) for point in points]
    facts = {
        "points": [point.to_dict() for point in points],
        "model": "resnet18",
        "image_size_px": 32,
        "precision": "auto",
        "device": "CPU",
    }
    report("scaling", "images/s", rows, kind=SCALING, facts=facts, output=str(path))
    return path
