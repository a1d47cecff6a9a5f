"""All measuring goes through here: alternating runs, warm-up dropped, median and interval, one
sentence with the finding, one JSON line last (``bundle``)."""

import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.bundle import publish
from benchmarks.interval import RUNS, Interval, median_interval, spread
from benchmarks.provenance import busy_warning, environment
from pipeline.options import setting, within

if TYPE_CHECKING:
    from trainer.distributed.collectives import World


@dataclass(frozen=True, kw_only=True)
class Measuring:
    """How a benchmark measures, and where its result goes."""

    runs: int = setting(RUNS, "Runs that count, of each contender.")
    warmup: int = setting(1, "Runs of each before them that don't count.")
    output: str | None = setting(None, "File for the result, as one line of JSON.")

    def __post_init__(self) -> None:
        within("--runs", self.runs, 1)
        within("--warmup", self.warmup, 0)


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """Figures of one contender over the runs, in the order measured, warm-up dropped."""

    name: str
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def interval(self) -> Interval:
        return median_interval(self.values)


@dataclass(frozen=True, kw_only=True)
class Lap:
    """What a stretch of batches cost; `cpu_seconds` are those of all threads of the process."""

    images: int
    seconds: float
    cpu_seconds: float

    @property
    def images_per_second(self) -> float:
        return self.images / self.seconds


@dataclass(frozen=True, kw_only=True)
class WorldLap(Lap):
    """A lap of all ranks: images and CPU seconds of all, from the barrier that all began at to the
    one that all had come to, by the clock of the rank that saw the longest time.

    Attributes:
        rank_seconds: until each rank was done with its own work.
    """

    rank_seconds: tuple[float, ...]


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


def world_lap(work: Callable[[], int], world: "World", synchronize: Callable[[], None]) -> WorldLap:
    """Every rank does its `work`, which returns the images of this rank, between two barriers; all
    ranks get the same lap. `synchronize` waits for the device."""
    synchronize()
    world.barrier()
    start, cpu_start = time.perf_counter(), time.process_time()
    images = work()
    synchronize()
    own = time.perf_counter() - start
    world.barrier()
    rows = world.gather([images, time.perf_counter() - start, time.process_time() - cpu_start, own])
    counts, walls, cpus, owns = zip(*rows, strict=True)
    return WorldLap(
        images=int(sum(counts)),
        seconds=max(walls),
        cpu_seconds=sum(cpus),
        rank_seconds=tuple(owns),
    )


def alternate(
    contenders: Mapping[str, Callable[[], float]],
    *,
    runs: int,
    warmup: int = 1,
    shows: bool = True,
) -> list[Measurement]:
    """Call each contender in turn, `warmup` + `runs` rounds; each call returns a rate. `shows` how
    far it is, on a terminal.

    Alternating lets what drifts (clock, page cache, neighbours) fall on all contenders alike.
    """
    values: dict[str, list[float]] = {name: [] for name in contenders}
    rounds = track(
        range(warmup + runs),
        description="rounds",
        console=Console(stderr=True),
        transient=True,
        disable=not shows or not sys.stderr.isatty(),
    )
    for number in rounds:
        for name, contender in contenders.items():
            value = contender()
            if number >= warmup:
                values[name].append(value)
    return [Measurement(name=name, values=tuple(rates)) for name, rates in values.items()]


def ratio(measurement: Measurement, of: Measurement) -> Measurement:
    """Round by round, since two that follow each other share what drifts."""
    return Measurement(
        name=f"{measurement.name} / {of.name}",
        values=tuple(
            value / other for value, other in zip(measurement.values, of.values, strict=True)
        ),
    )


def report(
    title: str,
    unit: str,
    measurements: Sequence[Measurement],
    *,
    facts: Mapping[str, Any],
    columns: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
    ratios: bool = True,
    notes: Sequence[str] = (),
    finding: str | None = None,
    output: str | None = None,
) -> None:
    """Print a table, with `ratios` to the first row where there are several, `notes` and the
    `finding` (by default the last row beside the first); then the bundle, to `output` too.

    `columns`: more of the table, header -> row -> text. `facts`: more of the bundle; they may have
    none of its own names.
    """
    finding = finding or default_finding(unit, measurements)
    _show_table(title, unit, measurements, columns, ratios and len(measurements) > 1)
    for line in (*notes, busy_warning(), finding):
        if line:
            print(line)
    intervals = {row.name: row.interval for row in measurements}
    record = {
        "benchmark": title,
        "finding": finding,
        "unit": unit,
        "median": {row.name: row.median for row in measurements},
        "interval": {name: (each.low, each.high) for name, each in intervals.items()},
        "confidence": {name: each.confidence for name, each in intervals.items()},
        "spread": {row.name: spread(row.values) for row in measurements},
        "values": {row.name: row.values for row in measurements},
        "environment": environment(),
    }
    if taken := record.keys() & facts.keys():
        raise ValueError(f"Facts by names that a bundle has already: {sorted(taken)}")
    publish({**record, **facts}, output)


def _show_table(
    title: str,
    unit: str,
    measurements: Sequence[Measurement],
    columns: Mapping[str, Mapping[str, str]],
    ratios: bool,
) -> None:
    table = Table(title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column(no_wrap=True)
    for header in (f"{unit} median", "lowest", "highest", *["ratio"] * ratios, *columns):
        table.add_column(header, justify="right")
    for row in measurements:
        figures = (row.median, min(row.values), max(row.values))
        beside = f"{row.median / measurements[0].median:.3f}"
        more = (texts.get(row.name, "") for texts in columns.values())
        table.add_row(row.name, *map(figure, figures), *[beside] * ratios, *more)
    # Terminal width: a table piped into a file is not cut.
    Console(width=None if sys.stdout.isatty() else 120).print(table)


# A figure -> the header, the factor and the format of its column.
ColumnFormats = Mapping[str, tuple[str, float, str]]


def figure_columns(
    figures: Mapping[str, Mapping[str, float | None]], formats: ColumnFormats
) -> dict[str, dict[str, str]]:
    """``report``'s columns of figures by row; one that nobody knows is left out."""
    shown = {}
    for name, (header, factor, style) in formats.items():
        known = {
            row: f"{factor * value:{style}}"
            for row, each in figures.items()
            if (value := each[name]) is not None
        }
        if known:
            shown[header] = known
    return shown


def default_finding(unit: str, measurements: Sequence[Measurement]) -> str:
    """The last of `measurements`, beside the first where there are several."""
    first, last = measurements[0], measurements[-1]
    span = f"({figure(last.interval.low)} to {figure(last.interval.high)})"
    sentence = f"{last.name}: {figure(last.median)} {unit} {span}"
    if len(measurements) > 1:
        sentence += f", {last.median / first.median:.3g} times {first.name}"
    return sentence + "."


def counted(count: int, what: str) -> str:
    """1 rank, 1,024 ranks."""
    return f"{count:,} {what}{'s' * (count != 1)}"


def figure(value: float) -> str:
    """A figure for people: three digits at least, thousands parted."""
    digits = 0 if abs(value) >= 1000 else 1 if abs(value) >= 100 else 2 if abs(value) >= 10 else 3
    return f"{value:,.{digits}f}"
