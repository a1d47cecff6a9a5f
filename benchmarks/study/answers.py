"""What a study was made for: its questions, each answered in sentences with their figures."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.measuring.text import counted, figure
from benchmarks.scaling.record import STRONG, Point
from benchmarks.study.config import FRAMEWORKS
from benchmarks.study.configurations import Group, efficiency, ends, speed_up
from trainer.run.duration import clock
from trainer.tasks.scores import METRIC_NAMES

QUESTIONS = (
    "Does it get faster?",
    "Does accuracy hold?",
    "Does it flatten, and why?",
    "What would one more node give?",
)
# An efficiency below this is a gain that flattens.
FLAT_BELOW = 0.9
_ALONE = "Only one size was trained: nothing to compare."


def verdict(groups: Sequence[Group]) -> str:
    """In a sentence, what the largest sizes give."""
    said = [
        f"{last.name} train at {speed_up(first, last):.2f} times the images/s of "
        f"{counted(first.ranks, 'rank')}"
        for first, last in ends(groups)
    ]
    return f"{'; '.join(said)}." if said else _ALONE


def answer_faster(groups: Sequence[Group], *, timed: bool, target: float | None) -> str:
    """Time to the end or to the target, or how far each came in a fixed time."""
    said = []
    for first, last in ends(groups):
        if timed:
            before, after = (group.median(lambda each: each.epochs) for group in (first, last))
            way = f"{after:.2f} epochs instead of the {before:.2f} of"
            gain = after / before
        elif target is not None and _reached(first) and _reached(last):
            before, after = (_target_seconds(group) for group in (first, last))
            way = f"{target:.0%} after {clock(after)} instead of {clock(before)} of"
            gain = before / after
        else:
            before, after = (group.median(lambda each: each.seconds) for group in (first, last))
            way = f"the end after {clock(after)} instead of {clock(before)} of"
            gain = before / after
        times = last.ranks / first.ranks
        said.append(
            f"{last.name} reach {way} {counted(first.ranks, 'rank')}: {gain:.2f} times as fast, "
            f"where {times:g} times would be ideal; their steps alone make "
            f"{speed_up(first, last):.2f} times the images/s"
        )
    return _sentences(said) or _ALONE


def answer_accuracy(groups: Sequence[Group], metric: str) -> str:
    """Whether the configurations differ by more than the seeds of one do, and than chance."""
    name, style = METRIC_NAMES[metric]
    known = {group.name: scores for group in groups if (scores := group.values(lambda o: o.score))}
    if not known:
        return "There is no validation split: nothing was evaluated."
    medians = {name: statistics.median(scores) for name, scores in known.items()}
    low, high = min(medians, key=lambda name: medians[name]), max(medians, key=medians.__getitem__)
    apart = medians[high] - medians[low]
    spread = max(max(scores) - min(scores) for scores in known.values())
    said = (
        f"{name[0].upper()}{name[1:]} is from {medians[low]:{style}} ({low}) to "
        f"{medians[high]:{style}} ({high}), {_points(apart, style)} apart"
    )
    if all(len(scores) == 1 for scores in known.values()):
        return f"{said}; one seed each says nothing of chance: give several to --seeds."
    chance = _chance(groups, medians[low], medians[high]) if metric == "top1" else 0.0
    holds = apart <= max(spread, chance)
    limits = f"seeds of one configuration are up to {_points(spread, style)} apart"
    if chance:
        evaluated = groups[0].outcomes[0].evaluated
        limits += f", and on {evaluated:,} images {_points(chance, style)} may be chance"
    return f"{said}; {limits}: {'accuracy holds' if holds else 'accuracy differs'}."


def _chance(groups: Sequence[Group], low: float, high: float) -> float:
    """What the shares of right answers of two equally good networks differ by at most in 95 of 100
    cases: 1.96 standard deviations of the difference of two binomial shares."""
    share = (low + high) / 2
    return 1.96 * math.sqrt(2 * share * (1 - share) / groups[0].outcomes[0].evaluated)


def answer_plateau(groups: Sequence[Group], points: Sequence[Point]) -> str:
    """Efficiency of the trainings, and what a rank's step loses its time to."""
    said = []
    for _, last in ends(groups):
        reached = efficiency(last, groups)
        word = "flattens" if reached < FLAT_BELOW else "doesn't flatten yet"
        said.append(
            f"{FRAMEWORKS[last.framework]} {word}: the steps of {last.ranks} ranks are "
            f"{reached:.0%} efficient (strong scaling)"
        )
    why = [_why(point) for point in points if point.mode == STRONG and point.world_size > 1]
    return _sentences(said + why[-1:]) if said else _ALONE


def _why(point: Point) -> str:
    losses = {name: lost for name, lost in point.losses.as_dict().items() if lost >= 0.01}
    ordered = sorted(losses, key=lambda name: -losses[name])
    parts = ", ".join(f"{losses[name]:.0%} to {name}" for name in ordered) or "less than 1 %"
    return (
        f"The stall ladder of PyTorch at {point.world_size} ranks loses {parts} of a step; "
        f"{point.sentence}"
    )


def answer_node(prediction: Mapping[str, Any], ranks: int) -> str:
    """bench-predict's figures of twice the ranks, beside those of as many as were measured."""
    sizes = [size["ranks"] for size in prediction["predictions"]]
    rates = dict(zip(sizes, prediction["median"].values(), strict=True))
    limits = {size["ranks"]: size["limit"] for size in prediction["predictions"]}
    if not {ranks, 2 * ranks} <= rates.keys():
        return f"Not predicted for {counted(2 * ranks, 'rank')}."
    return (
        f"A second node of {counted(ranks, 'rank')} is predicted to give "
        f"{figure(rates[2 * ranks])} images/s instead of {figure(rates[ranks])}, "
        f"{rates[2 * ranks] / rates[ranks]:.2f} times as many, with the same batch a rank; the "
        f"first limit there is {limits[2 * ranks]}."
    )


def _points(apart: float, style: str) -> str:
    return f"{100 * apart:.2f} points" if style.endswith("%") else format(apart, style)


def _target_seconds(group: Group) -> float:
    return group.median(lambda outcome: outcome.target_seconds)


def _reached(group: Group) -> bool:
    """Whether the target was, from each seed."""
    return len(group.values(lambda outcome: outcome.target_seconds)) == len(group.outcomes)


def _sentences(parts: Sequence[str]) -> str:
    return " ".join(f"{part.rstrip('.')}." for part in parts)
