"""Measurements of candidates that alternate round by round."""

import statistics
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rich.progress import track

from benchmarks.measuring.intervals import Interval, median_interval
from pipeline.console import open_console


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """Values of one candidate in the order measured, without the warm-up rounds."""

    name: str
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def interval(self) -> Interval:
        return median_interval(self.values)


def alternate(
    candidates: Mapping[str, Callable[[], float]],
    *,
    runs: int,
    warmup: int = 1,
    show_progress: bool = True,
) -> list[Measurement]:
    """Call every candidate once in each of `warmup` + `runs` rounds; a call returns a rate.

    Drift (clock, page cache, other programs) then affects all candidates alike. The progress bar
    appears on terminals only.
    """
    values: dict[str, list[float]] = {name: [] for name in candidates}
    rounds = track(
        range(warmup + runs),
        description="rounds",
        console=open_console(stderr=True),
        transient=True,
        disable=not show_progress or not sys.stderr.isatty(),
    )
    for number in rounds:
        for name, candidate in candidates.items():
            rate = candidate()
            if number >= warmup:
                values[name].append(rate)
    return [Measurement(name=name, values=tuple(rates)) for name, rates in values.items()]


def ratio(measurement: Measurement, of: Measurement) -> Measurement:
    """`measurement` / `of` round by round: two runs of one round share the drift."""
    pairs = zip(measurement.values, of.values, strict=True)
    return Measurement(
        name=f"{measurement.name} / {of.name}",
        values=tuple(above / below for above, below in pairs),
    )
