"""All measuring goes through here: alternating runs, warm-up dropped, median and interval, one
sentence with the finding, one JSON line last (``bundle``)."""

import statistics
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import track

from benchmarks.measuring.intervals import Interval, median_interval

if TYPE_CHECKING:
    pass


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


def alternate(
    contenders: Mapping[str, Callable[[], float]],
    *,
    runs: int,
    warmup: int = 1,
    shows: bool = True,
) -> list[Measurement]:
    """Call each contender in turn, `warmup` + `runs` rounds; each call returns a rate. `shows` how
    far it is, on a terminal.

    Alternating lets what drifts (clock, page cache, neighbors) fall on all contenders alike.
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
