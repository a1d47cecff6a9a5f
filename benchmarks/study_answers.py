"""What a study was made for: its questions, each answered in sentences with their figures."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.measure import figure
from benchmarks.scaling_record import STRONG, Point
from benchmarks.study import FRAMEWORKS
from benchmarks.study_cells import Outcome
from trainer.clock import clock

QUESTIONS = (
    "Does it get faster?",
    "Does accuracy hold?",
    "Does it flatten, and why?",
    "What would one more node give?",
)
# An efficiency below this is a gain that flattens.
FLAT_BELOW = 0.9


@dataclass(frozen=True, kw_only=True)
class Group:
    """The outcomes of one framework on so many ranks, one a seed."""

    framework: str
    ranks: int
    outcomes: tuple[Outcome, ...]

    @property
    def name(self) -> str:
        return f"{FRAMEWORKS[self.framework]}, {counted_ranks(self.ranks)}"

    def values(self, value: Callable[[Outcome], float | None]) -> tuple[float, ...]:
        """Of the seeds, those that are known."""
        found = (value(outcome) for outcome in self.outcomes)
        return tuple(each for each in found if each is not None)

    def median(self, value: Callable[[Outcome], float | None]) -> float | None:
        known = self.values(value)
        return statistics.median(known) if known else None

    @property
    def images_per_second(self) -> float:
        return statistics.median(outcome.images_per_second for outcome in self.outcomes)


def counted_ranks(ranks: int) -> str:
    return f"{ranks} rank{'s' * (ranks > 1)}"


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
    return group.images_per_second / group.ranks * first.ranks / first.images_per_second


def answer_faster(groups: Sequence[Group], *, timed: bool, target: float | None) -> str:
    """Time to the end or to the target, or how far each came in a fixed time."""
    said = []
    for first, last in _ends(groups):
        if timed:
            way = f"{_epochs(last):.2f} epochs instead of the {_epochs(first):.2f} of"
            gain = _epochs(last) / _epochs(first)
        elif target is not None and _seconds_to(first) and _seconds_to(last):
            way = f"top-1 {target:.0%} after {clock(_seconds_to(last))} instead of "
            way += f"{clock(_seconds_to(first))} of"
            gain = _seconds_to(first) / _seconds_to(last)
        else:
            way = f"the end after {clock(_seconds(last))} instead of {clock(_seconds(first))} of"
            gain = _seconds(first) / _seconds(last)
        said.append(
            f"{last.name} reach {way} {counted_ranks(first.ranks)}: {gain:.2f} times as fast, "
            f"{gain / (last.ranks / first.ranks):.0%} of what as many ranks could give"
        )
    return _sentences(said) or "Only one size was trained: nothing to compare."


def answer_accuracy(groups: Sequence[Group]) -> str:
    """Whether the configurations differ by more than the seeds of one do."""
    known = {group.name: scores for group in groups if (scores := group.values(lambda o: o.top1))}
    if not known:
        return "There is no validation split: nothing was evaluated."
    medians = {name: statistics.median(scores) for name, scores in known.items()}
    low, high = min(medians, key=lambda name: medians[name]), max(medians, key=medians.__getitem__)
    apart = medians[high] - medians[low]
    spread = max(max(scores) - min(scores) for scores in known.values())
    said = f"Top-1 is from {medians[low]:.2%} ({low}) to {medians[high]:.2%} ({high})"
    if all(len(scores) == 1 for scores in known.values()):
        return (
            f"{said}, {100 * apart:.2f} points apart; one seed each says nothing of chance: give "
            f"several to --seeds."
        )
    verdict = "accuracy holds" if apart <= spread else "accuracy differs"
    return (
        f"{said}, {100 * apart:.2f} points apart; seeds of one configuration are up to "
        f"{100 * spread:.2f} points apart: {verdict}."
    )


def answer_plateau(groups: Sequence[Group], points: Sequence[Point]) -> str:
    """Efficiency of the trainings, and what a rank's step loses its time to."""
    said = []
    for _, last in _ends(groups):
        reached = efficiency(last, groups)
        word = "flattens" if reached < FLAT_BELOW else "doesn't flatten yet"
        said.append(
            f"{FRAMEWORKS[last.framework]} {word}: {last.ranks} ranks are {reached:.0%} efficient"
        )
    why = [_why(point) for point in points if point.mode == STRONG and point.world_size > 1]
    return _sentences(said + why[-1:]) or "Only one size was trained: nothing to compare."


def _why(point: Point) -> str:
    losses = {name: lost for name, lost in point.losses.as_dict().items() if lost >= 0.01}
    ordered = sorted(losses, key=lambda name: -losses[name])
    parts = ", ".join(f"{losses[name]:.0%} to {name}" for name in ordered) or "less than 1 %"
    return (
        f"The stall ladder of PyTorch at {point.world_size} ranks loses {parts} of a step; "
        f"{point.sentence}"
    )


def answer_node(prediction: Mapping[str, Any] | None, ranks: int) -> str:
    """bench-predict's figures of twice the ranks, beside those of as many as were measured."""
    if prediction is None:
        return "Not predicted."
    medians: Mapping[str, float] = prediction["median"]
    here, there = counted_ranks(ranks), counted_ranks(2 * ranks)
    if here not in medians or there not in medians:
        return f"Not predicted for {there}."
    limits = dict(zip(medians, prediction["predictions"], strict=True))
    return (
        f"A second node of {here} is predicted to give {figure(medians[there])} images/s instead "
        f"of {figure(medians[here])}, {medians[there] / medians[here]:.2f} times as many; the "
        f"first limit there is {limits[there]['limit']}."
    )


def _ends(groups: Sequence[Group]) -> list[tuple[Group, Group]]:
    """The smallest and the largest size of each framework that has several."""
    by_framework: dict[str, list[Group]] = {}
    for group in groups:
        by_framework.setdefault(group.framework, []).append(group)
    return [(sizes[0], sizes[-1]) for sizes in by_framework.values() if len(sizes) > 1]


def _seconds(group: Group) -> float:
    return statistics.median(outcome.seconds for outcome in group.outcomes)


def _epochs(group: Group) -> float:
    return statistics.median(outcome.epochs for outcome in group.outcomes)


def _seconds_to(group: Group) -> float:
    return group.median(lambda outcome: outcome.target_seconds) or 0.0


def _sentences(parts: Sequence[str]) -> str:
    return " ".join(f"{part.rstrip('.')}." for part in parts)
