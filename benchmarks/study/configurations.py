"""The trainings of a study by configuration: one framework on so many ranks, from each seed."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.measuring.text import counted
from benchmarks.study.config import FRAMEWORKS
from benchmarks.study.trials import Outcome

Value = Callable[[Outcome], float | None]


@dataclass(frozen=True, kw_only=True)
class Group:
    """The outcomes of one framework on so many ranks, one a seed."""

    framework: str
    ranks: int
    outcomes: tuple[Outcome, ...]

    @property
    def name(self) -> str:
        return f"{FRAMEWORKS[self.framework]}, {counted(self.ranks, 'rank')}"

    @property
    def rates(self) -> tuple[float, ...]:
        """images/s of each seed."""
        return tuple(outcome.images_per_second for outcome in self.outcomes)

    def values(self, value: Value) -> tuple[float, ...]:
        """Of the seeds, those that are known."""
        found = (value(outcome) for outcome in self.outcomes)
        return tuple(each for each in found if each is not None)

    def median(self, value: Value) -> float:
        """Of those that are known; at least one."""
        return statistics.median(self.values(value))

    def as_record(self, efficiency: float) -> dict[str, Any]:
        """For the bundle: what each seed came to."""
        return {
            "name": self.name,
            "framework": FRAMEWORKS[self.framework],
            "ranks": self.ranks,
            "efficiency": efficiency,
            "seeds": [{**asdict(each), "cell": str(each.cell)} for each in self.outcomes],
        }


def grouped(outcomes: Sequence[Outcome]) -> list[Group]:
    """By framework, fewer ranks first."""
    keys = dict.fromkeys((each.cell.framework, each.cell.ranks) for each in outcomes)
    return [
        Group(
            framework=framework,
            ranks=ranks,
            outcomes=tuple(
                each
                for each in outcomes
                if (each.cell.framework, each.cell.ranks) == (framework, ranks)
            ),
        )
        for framework, ranks in sorted(keys, key=lambda key: (list(FRAMEWORKS).index(key[0]), key))
    ]


def efficiency(group: Group, groups: Sequence[Group]) -> float:
    """Images/s of a rank over those of a rank at the framework's smallest size."""
    first = next(each for each in groups if each.framework == group.framework)
    return speed_up(first, group) * first.ranks / group.ranks


def speed_up(first: Group, group: Group) -> float:
    """In images/s, of the median seeds."""
    return statistics.median(group.rates) / statistics.median(first.rates)


def ends(groups: Sequence[Group]) -> list[tuple[Group, Group]]:
    """The smallest and the largest size of each framework that has several."""
    by_framework: dict[str, list[Group]] = {}
    for group in groups:
        by_framework.setdefault(group.framework, []).append(group)
    return [(sizes[0], sizes[-1]) for sizes in by_framework.values() if len(sizes) > 1]
