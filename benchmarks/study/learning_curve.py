"""Whether more data would help, from trainings on parts of the samples."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from math import log2

from benchmarks.report.study_record import Configuration, by_framework
from benchmarks.study.findings import chance_difference, in_units
from trainer.tasks.metric_names import METRIC_NAMES

QUESTION = "Would more data help?"
_NO_SCORES = "There is no validation split: nothing was evaluated."


@dataclass(frozen=True, kw_only=True)
class LastGain:
    """What the largest part gains over the next smaller one.

    Attributes:
        smaller, largest: the two parts.
        metric: of the scores.
        gains: the difference of both scores by seed.
    """

    smaller: Configuration
    largest: Configuration
    metric: str
    gains: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.gains)

    @property
    def doublings(self) -> float:
        """How often the smaller part is doubled up to the largest."""
        return log2((self.largest.samples or 1) / (self.smaller.samples or 1))

    @property
    def spread(self) -> float:
        """The largest difference of the seeds of one part."""
        scores = (part.values("score") for part in (self.smaller, self.largest))
        return max(max(values) - min(values) for values in scores)

    @property
    def chance(self) -> float:
        """See ``chance_difference``; 0 for a metric that is no share of right answers."""
        if self.metric != "top1":
            return 0.0
        share = (self.smaller.median("score") + self.largest.median("score")) / 2
        return chance_difference(share, self.largest.seeds[0].evaluated)

    @property
    def helps(self) -> bool | None:
        """Whether every seed gains, and the median by more than seeds and chance differ; None if a
        single seed does not show that."""
        if len(self.gains) == 1:
            return None
        return min(self.gains) > 0 and self.median > max(self.spread, self.chance)

    def __str__(self) -> str:
        name, style = METRIC_NAMES[self.metric]
        return (
            f"from {self.smaller.samples:,} to {self.largest.samples:,} samples {name} changes "
            f"from {self.smaller.median('score'):{style}} to {self.largest.median('score'):{style}}"
        )


def last_gains(configurations: Sequence[Configuration], metric: str) -> list[LastGain]:
    """That of each framework; none without scores."""
    gains = []
    for parts in by_framework(configurations).values():
        before, after = (part.values("score") for part in parts[-2:])
        if before and len(before) == len(after):
            differences = tuple(b - a for a, b in zip(before, after, strict=True))
            gains.append(
                LastGain(smaller=parts[-2], largest=parts[-1], metric=metric, gains=differences)
            )
    return gains


def find_more_data(configurations: Sequence[Configuration], metric: str) -> str:
    """The finding: a sentence for each framework."""
    beginnings = {
        True: "More data would help",
        False: "The curve does not show that more data would help",
        None: "One seed does not show whether more data would help",
    }
    sentences = [
        f"{beginnings[gain.helps]}: {gain}." for gain in last_gains(configurations, metric)
    ]
    return " ".join(sentences) or _NO_SCORES


def answer_more_data(configurations: Sequence[Configuration], metric: str) -> str:
    """The gain by doubling, the gain of the last step against the spread of seeds and chance, and
    what follows."""
    answers = [_answer(gain) for gain in last_gains(configurations, metric)]
    return " ".join(answers) or _NO_SCORES


def _answer(gain: LastGain) -> str:
    _, style = METRIC_NAMES[gain.metric]
    low, high = (in_units(limit(gain.gains), style) for limit in (min, max))
    per_doubling = in_units(gain.median / gain.doublings, style)
    text = f"{gain.largest.framework}: {gain}, by {in_units(gain.median, style)}"
    if gain.helps is None:
        return f"{text}; one seed does not show the spread: give several to --seeds."
    text += (
        f" (seeds: {low.partition(' ')[0]} to {high}), which is {per_doubling} for each doubling; "
        f"seeds of one part differ by up to {in_units(gain.spread, style)}"
    )
    if gain.chance:
        evaluated = gain.largest.seeds[0].evaluated
        text += f", chance on {evaluated:,} images makes up to {in_units(gain.chance, style)}"
    if gain.helps:
        return (
            f"{text}: more data would help. Twice the {gain.largest.samples:,} samples would give "
            f"about {per_doubling} if the curve goes on, less if it flattens."
        )
    return (
        f"{text}: the curve does not show that more data would help. A network that is too small "
        f"or trained too briefly would not show it either: compare with more --epochs."
    )
