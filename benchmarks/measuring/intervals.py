"""Confidence intervals of a median."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.measuring.text import figure

CONFIDENCE = 0.95
# The fewest values whose range holds the median with that confidence: 1 - 2 / 2^6.
RUNS = 6


@dataclass(frozen=True, kw_only=True)
class Interval:
    """`low` to `high`; a share `confidence` of such intervals holds the true median."""

    low: float
    high: float
    confidence: float

    @property
    def limits(self) -> tuple[float, float]:
        return self.low, self.high

    def __str__(self) -> str:
        return f"{figure(self.low)} to {figure(self.high)}"


def median_interval(values: Sequence[float]) -> Interval:
    """The narrowest pair of order statistics that holds the median of the distribution of `values`
    with at least CONFIDENCE; the range, with a lower confidence, for fewer than RUNS values.

    Exact for independent values of any continuous distribution, where a bootstrap of so few values
    is too narrow: the number of n values below the median is binomial (n, 1/2). Source: Conover,
    Practical Nonparametric Statistics, 3rd ed., section 3.2.
    """
    ordered, count = sorted(values), len(values)
    rank, confidence = 0, 1 - 2 / 2**count
    outside = 1
    for next_rank in range(1, (count + 1) // 2):
        outside += math.comb(count, next_rank)
        if (narrower := 1 - 2 * outside / 2**count) < CONFIDENCE:
            break
        rank, confidence = next_rank, narrower
    return Interval(
        low=ordered[rank], high=ordered[count - 1 - rank], confidence=max(confidence, 0.0)
    )


def spread(values: Sequence[float]) -> float:
    """(highest - lowest) / median."""
    return (max(values) - min(values)) / statistics.median(values)
