"""The questions of a study, and their answers in sentences with figures."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.measuring.text import figure
from benchmarks.report.prediction import predicted_sizes
from benchmarks.report.study_record import Configuration
from benchmarks.scaling.record import STRONG, Point
from benchmarks.study.configurations import extremes, speed_up
from pipeline.duration_text import clock
from pipeline.text import plural
from trainer.config import RunConfig
from trainer.tasks.metric_names import METRIC_NAMES

# A lower efficiency means that the speed-up flattens.
FLAT_BELOW = 0.9
_ONE_SIZE = "Only one number of ranks was trained: there is nothing to compare."


def find_speed_up(configurations: Sequence[Configuration]) -> str:
    """The finding: images/s of the largest numbers of ranks."""
    parts = [
        f"{last.name} train at {speed_up(first, last):.2f} times the images/s of "
        f"{plural(first.ranks, 'rank')}"
        for first, last in extremes(configurations)
    ]
    return f"{'; '.join(parts)}." if parts else _ONE_SIZE


def answer_questions(
    configurations: Sequence[Configuration],
    *,
    metric: str,
    points: Sequence[Point],
    prediction: Mapping[str, Any],
    run: RunConfig,
) -> dict[str, str]:
    """Question -> answer."""
    timed, ranks = run.max_minutes is not None, max(c.ranks for c in configurations)
    return {
        "Does it get faster?": answer_faster(configurations, timed=timed, target=run.target_top1),
        "Does accuracy hold?": answer_accuracy(configurations, metric),
        "Does it flatten, and why?": answer_plateau(configurations, points),
        "What would one more node give?": answer_node(prediction, ranks),
    }


def answer_faster(
    configurations: Sequence[Configuration], *, timed: bool, target: float | None
) -> str:
    """Time to the end or to the `target`; epochs in the fixed time of `timed` trainings."""
    sentences = []
    for first, last in extremes(configurations):
        field = "epochs" if timed else "seconds"
        reached = [c for c in (first, last) if len(c.values("target_seconds")) == len(c.seeds)]
        if not timed and target is not None and len(reached) == 2:
            field = "target_seconds"
        before, after = first.median(field), last.median(field)
        progress = {
            "epochs": f"train {after:.2f} epochs instead of {before:.2f}",
            "seconds": f"finish after {clock(after)} instead of {clock(before)}",
            "target_seconds": f"reach {target or 0:.0%} after {clock(after)} instead of "
            f"{clock(before)}",
        }
        sentences.append(
            f"{last.name} {progress[field]} on {plural(first.ranks, 'rank')}: "
            f"{after / before if timed else before / after:.2f} times as fast (ideal: "
            f"{last.ranks / first.ranks:g} times), with {speed_up(first, last):.2f} times the "
            f"images/s"
        )
    return _join(sentences) or _ONE_SIZE


def answer_accuracy(configurations: Sequence[Configuration], metric: str) -> str:
    """Whether the configurations differ by more than the seeds of one do, and than chance."""
    title, style = METRIC_NAMES[metric]
    scores = {c.name: values for c in configurations if (values := c.values("score"))}
    if not scores:
        return "There is no validation split: nothing was evaluated."
    medians = {name: statistics.median(values) for name, values in scores.items()}
    low, high = min(medians, key=medians.__getitem__), max(medians, key=medians.__getitem__)
    difference = medians[high] - medians[low]
    spread = max(max(values) - min(values) for values in scores.values())
    summary = (
        f"{title[0].upper()}{title[1:]} is from {medians[low]:{style}} ({low}) to "
        f"{medians[high]:{style}} ({high}), a difference of {in_units(difference, style)}"
    )
    if all(len(values) == 1 for values in scores.values()):
        return f"{summary}; one seed does not show the spread: give several to --seeds."
    limits = f"seeds of one configuration differ by up to {in_units(spread, style)}"
    chance = 0.0
    if metric == "top1":
        evaluated = configurations[0].seeds[0].evaluated
        chance = chance_difference((medians[low] + medians[high]) / 2, evaluated)
        limits += f", chance on {evaluated:,} images makes up to {in_units(chance, style)}"
    holds = difference <= max(spread, chance)
    return f"{summary}; {limits}: accuracy {'holds' if holds else 'differs'}."


def chance_difference(share: float, count: int) -> float:
    """The largest difference, in 95 of 100 cases, of the shares of right answers of two equally
    good networks on `count` samples: 1.96 standard deviations of the difference of two binomial
    shares."""
    return 1.96 * math.sqrt(2 * share * (1 - share) / count)


def answer_plateau(configurations: Sequence[Configuration], points: Sequence[Point]) -> str:
    """Efficiency of the trainings, and the losses of a step on the stall ladder."""
    sentences = []
    for _, last in extremes(configurations):
        verb = "flattens" if last.efficiency < FLAT_BELOW else "does not flatten yet"
        sentences.append(
            f"The speed-up of {last.framework} {verb}: the efficiency on {last.ranks} "
            f"ranks is {last.efficiency:.0%} (strong scaling)"
        )
    reasons = [_losses(point) for point in points if point.mode == STRONG and point.world_size > 1]
    return _join(sentences + reasons[-1:]) if sentences else _ONE_SIZE


def _losses(point: Point) -> str:
    losses = {name: share for name, share in point.losses.as_dict().items() if share >= 0.01}
    ordered = sorted(losses, key=losses.__getitem__, reverse=True)
    parts = ", ".join(f"{losses[name]:.0%} to {name}" for name in ordered) or "less than 1%"
    return (
        f"On the stall ladder of PyTorch, {point.world_size} ranks lose {parts} of a step; "
        f"{point.sentence}"
    )


def answer_node(prediction: Mapping[str, Any], ranks: int) -> str:
    """Predictions of bench-predict for `ranks` ranks and for twice as many."""
    predicted = {size["ranks"]: size for size in predicted_sizes(prediction)}
    if not {ranks, 2 * ranks} <= predicted.keys():
        return f"bench-predict made no prediction for {plural(2 * ranks, 'rank')}."
    before, after = (predicted[count]["images_per_second"] for count in (ranks, 2 * ranks))
    return (
        f"bench-predict expects {figure(after)} images/s instead of {figure(before)} with a second "
        f"node of {plural(ranks, 'rank')}, {after / before:.2f} times as many, at the same batch "
        f"size of a rank; the first limit is {predicted[2 * ranks]['limit']}."
    )


def in_units(difference: float, style: str) -> str:
    """A difference of two values that `style` formats."""
    if style.endswith("%"):
        return f"{100 * difference:.2f} percentage points"
    return format(difference, style)


def _join(sentences: Sequence[str]) -> str:
    return " ".join(f"{sentence.rstrip('.')}." for sentence in sentences)
