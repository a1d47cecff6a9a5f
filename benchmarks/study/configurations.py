"""The results of a study by configuration: a framework on a number of ranks, over its seeds."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from benchmarks.measuring.text import counted
from benchmarks.study.config import FRAMEWORKS
from benchmarks.study.trials import TrialResult


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """The results of one framework on one number of ranks, one for each seed."""

    framework: str
    ranks: int
    results: tuple[TrialResult, ...]

    @property
    def name(self) -> str:
        return f"{FRAMEWORKS[self.framework]}, {counted(self.ranks, 'rank')}"

    def values(self, field: str) -> tuple[float, ...]:
        """A field of ``TrialResult`` of each seed, without None."""
        values = (getattr(result, field) for result in self.results)
        return tuple(value for value in values if value is not None)

    def median(self, field: str) -> float:
        """The median of ``values``, of which there must be one."""
        return statistics.median(self.values(field))

    def to_dict(self, efficiency: float) -> dict[str, Any]:
        """An entry of "configurations" in the result of bench-study."""
        return {
            "name": self.name,
            "framework": FRAMEWORKS[self.framework],
            "ranks": self.ranks,
            "efficiency": efficiency,
            "seeds": [result.to_dict() for result in self.results],
        }


def group_results(results: Sequence[TrialResult]) -> list[Configuration]:
    """By framework, fewer ranks first."""

    def key(result: TrialResult) -> tuple[int, int]:
        return list(FRAMEWORKS).index(result.trial.framework), result.trial.ranks

    return [
        Configuration(framework=list(FRAMEWORKS)[number], ranks=ranks, results=tuple(group))
        for (number, ranks), group in groupby(sorted(results, key=key), key)
    ]


def efficiency(configuration: Configuration, configurations: Sequence[Configuration]) -> float:
    """Images/s of a rank over those of a rank at the framework's smallest number of ranks."""
    first = next(c for c in configurations if c.framework == configuration.framework)
    return speed_up(first, configuration) * first.ranks / configuration.ranks


def speed_up(first: Configuration, last: Configuration) -> float:
    """Ratio of images/s, medians over the seeds."""
    return last.median("images_per_second") / first.median("images_per_second")


def extremes(configurations: Sequence[Configuration]) -> list[tuple[Configuration, Configuration]]:
    """The smallest and the largest number of ranks of each framework that has several."""
    groups = [list(group) for _, group in groupby(configurations, lambda c: c.framework)]
    return [(sizes[0], sizes[-1]) for sizes in groups if len(sizes) > 1]
