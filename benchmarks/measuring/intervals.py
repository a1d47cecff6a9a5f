"""How far a median can be trusted."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95
# The fewest runs whose lowest and highest hold the median with that confidence: 1 - 2 / 2^6.
RUNS = 6


@dataclass(frozen=True, kw_only=True)
class Interval:
    """From `low` to `high`; in the share `confidence` of such intervals the true median lies."""

    low: float
    high: float
    confidence: float


def median_interval(values: Sequence[float]) -> Interval:
    """The narrowest pair of order statistics that holds the median of what `values` are drawn from
    with at least CONFIDENCE; of fewer than RUNS values the range, whose confidence is less.

    Exact for independent values of any continuous distribution, where a bootstrap of so few is too
    narrow: how many of n values lie below the median is binomial (n, 1/2). Source: Conover,
    Practical Nonparametric Statistics, 3rd ed., section 3.2.
    """
    ordered, count = sorted(values), len(values)
    outside = 0
    for left_out in range((count + 1) // 2):
        outside += math.comb(count, left_out)
        confidence = 1 - 2 * outside / 2**count
        if left_out and confidence < CONFIDENCE:
            break
        found = Interval(
            low=ordered[left_out],
            high=ordered[count - 1 - left_out],
            confidence=max(confidence, 0.0),
        )
    return found


def spread(values: Sequence[float]) -> float:
    """(highest - lowest) / median."""
    return (max(values) - min(values)) / statistics.median(values)
