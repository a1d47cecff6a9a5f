"""Measurements of candidates that alternate round by round."""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.measuring.intervals import Interval, median_interval
from pipeline.console import open_console
from pipeline.duration_text import clock
from pipeline.progress import ProgressLine


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
    limit_seconds: float | None = None,
) -> list[Measurement]:
    """Call every candidate once in each of `warmup` + `runs` rounds; a call returns a rate.

    Drift (clock, page cache, other programs) then affects all candidates alike. stderr shows which
    is called, and the time left.

    Args:
        limit_seconds: no further round begins that would probably end later; one round after the
            warm-up is made in any case.
    """
    values: dict[str, list[float]] = {name: [] for name in candidates}
    rounds = Rounds(names=tuple(candidates), rounds=warmup + runs, warmup=warmup)
    start = time.monotonic()
    with ProgressLine(open_console(stderr=True), shown=show_progress) as line:
        for number in range(warmup + runs):
            end = time.monotonic() - start + rounds.round_seconds()
            if number > warmup and limit_seconds is not None and end > limit_seconds:
                break
            for name, candidate in candidates.items():
                line.update(rounds.share, rounds.parts)
                began = time.monotonic()
                rate = candidate()
                rounds.add(name, time.monotonic() - began)
                if number >= warmup:
                    values[name].append(rate)
    return [Measurement(name=name, values=tuple(rates)) for name, rates in values.items()]


@dataclass(kw_only=True)
class Rounds:
    """How far the rounds of `names` are; `warmup` of them are not counted as repetitions."""

    names: Sequence[str]
    rounds: int
    warmup: int
    calls: list[tuple[str, float]] = field(default_factory=list)

    def add(self, name: str, seconds: float) -> None:
        """Add a call that has ended."""
        self.calls.append((name, seconds))

    @property
    def share(self) -> float:
        return len(self.calls) / (len(self.names) * self.rounds)

    def round_seconds(self) -> float:
        """Duration of the longest round."""
        seconds = [seconds for _, seconds in self.calls]
        size = len(self.names)
        return max((sum(seconds[n : n + size]) for n in range(0, len(seconds), size)), default=0.0)

    def remaining_seconds(self) -> float:
        """As long as each candidate's last call; as the mean call if it has not been called."""
        if not self.calls:
            return 0.0
        mean = statistics.mean(seconds for _, seconds in self.calls)
        last = dict(self.calls)
        return sum(last.get(name, mean) for name in self._remaining())

    def _remaining(self) -> Iterator[str]:
        for number in range(len(self.calls), len(self.names) * self.rounds):
            yield self.names[number % len(self.names)]

    def parts(self) -> list[str]:
        """What is measured next, in the order of importance."""
        number, place = divmod(len(self.calls), len(self.names))
        left = [f"{clock(self.remaining_seconds())} left"] if self.calls else []
        repetition = f"repetition {number - self.warmup + 1} of {self.rounds - self.warmup}"
        return [self.names[place], *left, repetition if number >= self.warmup else "warm-up"]


def ratio(measurement: Measurement, of: Measurement) -> Measurement:
    """`measurement` / `of` round by round: two runs of one round share the drift."""
    pairs = zip(measurement.values, of.values, strict=True)
    return Measurement(
        name=f"{measurement.name} / {of.name}",
        values=tuple(above / below for above, below in pairs),
    )
