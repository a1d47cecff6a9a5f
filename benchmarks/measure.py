"""All measuring goes through here: alternating runs, warm-up dropped, median and spread, one JSON
line last."""

import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rich.console import Console
from rich.table import Table

from pipeline.config import available_cores

PACKAGES = ("torch", "torchvision", "nvidia-dali-cuda120", "numpy", "opencv-python", "webdataset")


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """Rates of one contender over the runs, in the order measured, warm-up dropped."""

    name: str
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)


@dataclass(frozen=True, kw_only=True)
class Lap:
    """What a stretch of batches cost; `cpu_seconds` are those of all threads of the process."""

    images: int
    seconds: float
    cpu_seconds: float

    @property
    def images_per_second(self) -> float:
        return self.images / self.seconds


def lap(images: Iterator[int], seconds: float, synchronize: Callable[[], None]) -> Lap:
    """Draw from `images`, which yields the size of each batch it made, for `seconds` or a little
    more. `synchronize` waits for the device."""
    synchronize()
    start, cpu_start, count, elapsed = time.perf_counter(), time.process_time(), 0, 0.0
    while elapsed < seconds:
        count += next(images)
        elapsed = time.perf_counter() - start
    synchronize()
    return Lap(
        images=count,
        seconds=time.perf_counter() - start,
        cpu_seconds=time.process_time() - cpu_start,
    )


def alternate(
    contenders: Mapping[str, Callable[[], float]], *, runs: int, warmup: int = 1
) -> list[Measurement]:
    """Call each contender in turn, `warmup` + `runs` rounds; each call returns a rate.

    Alternating lets what drifts (clock, page cache, neighbours) fall on all contenders alike.
    """
    values: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(warmup + runs):
        for name, contender in contenders.items():
            value = contender()
            if number >= warmup:
                values[name].append(value)
    return [Measurement(name=name, values=tuple(rates)) for name, rates in values.items()]


def report(
    title: str,
    unit: str,
    measurements: list[Measurement],
    *,
    facts: Mapping[str, Any],
    columns: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
    notes: Sequence[str] = (),
) -> None:
    """Print a table, with ratios to the first row where there are several, `notes`, then one JSON
    line with every value. `columns`: more of the table, header -> row -> text."""
    table = Table("", title=title)
    ratios = len(measurements) > 1
    for header in (f"{unit}, median", "lowest", "highest", *["ratio"] * ratios, *columns):
        table.add_column(header, justify="right")
    for row in measurements:
        figures = (row.median, min(row.values), max(row.values))
        ratio = f"{row.median / measurements[0].median:.3f}"
        more = (texts.get(row.name, "") for texts in columns.values())
        table.add_row(row.name, *(f"{figure:,.1f}" for figure in figures), *[ratio] * ratios, *more)
    # Terminal width: a table piped into a file is not cut.
    Console(width=None if sys.stdout.isatty() else 120).print(table)
    for note in notes:
        print(note)
    record = {
        "benchmark": title,
        "unit": unit,
        "median": {row.name: row.median for row in measurements},
        "values": {row.name: row.values for row in measurements},
        **facts,
        "environment": environment(),
    }
    print(json.dumps(record), flush=True)


def environment() -> dict[str, Any]:
    """Machine, versions and command of this process; None for what can't be known."""
    return {
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "cpu": _cpu_model(),
        "cpus": available_cores(),
        "python": platform.python_version(),
        **{package: _version(package) for package in PACKAGES},
    }


def _cpu_model() -> str | None:
    try:
        with Path("/proc/cpuinfo").open() as file:
            for line in file:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
