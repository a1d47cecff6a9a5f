"""Formulas of the metrics, in NumPy: one thread, so that equal arrays give equal bits.

scikit-learn, which the tests compare with, defines several of them only if all classes occur.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float64s = NDArray[np.float64]
Int64s = NDArray[np.int64]


def mean_of_defined(values: Iterable[float] | Float64s) -> float:
    """The mean of the values that are not NaN; 0 if there are none."""
    array = np.asarray(values, np.float64)
    defined = array[~np.isnan(array)]
    return float(defined.mean()) if len(defined) else 0.0


def named(names: Sequence[str], values: Float64s | Int64s) -> dict[str, float]:
    """Name -> value, without those that are NaN."""
    rows = zip(names, values.tolist(), strict=True)
    return {name: value for name, value in rows if value == value}


def ratios(parts: Int64s, wholes: Int64s) -> Float64s:
    """parts / wholes; NaN where the whole is 0."""
    return np.where(wholes > 0, parts / np.maximum(wholes, 1), np.nan)


@dataclass(frozen=True, kw_only=True)
class ClassScores:
    """Scores of each class, float64 (classes,), from its numbers of samples or pixels, as
    scikit-learn defines them with ``zero_division=np.nan``
    (https://scikit-learn.org/stable/modules/model_evaluation.html#precision-recall-f-measure-metrics).

    Attributes:
        precision: correct / predicted; NaN for a class that is never predicted.
        recall: correct / true; NaN for a class without samples.
        f1: 2 correct / (true + predicted), the Dice coefficient of pixels; NaN for a class that is
            neither in the targets nor in the predictions.
        macro_precision: mean precision of the classes that occur in targets or predictions. A class
            with samples that is never predicted counts as 0.
    """

    precision: Float64s
    recall: Float64s
    f1: Float64s
    macro_precision: float

    @classmethod
    def from_counts(cls, correct: Int64s, true: Int64s, predicted: Int64s) -> "ClassScores":
        """From the number of samples that have the class and are predicted as it, that have it, and
        that are predicted as it; each int64 (classes,)."""
        precision = ratios(correct, predicted)
        is_missed = (true > 0) & (predicted == 0)
        return cls(
            precision=precision,
            recall=ratios(correct, true),
            f1=ratios(2 * correct, true + predicted),
            macro_precision=mean_of_defined(np.where(is_missed, 0.0, precision)),
        )


def quadratic_kappa(true: Float64s, predicted: Float64s) -> float:
    """Cohen's kappa of two series of numbers with quadratic weights (Cohen 1968,
    doi:10.1037/h0026256): 1 - mean squared difference / that of independent series with the same
    values; 0 if both are one constant."""
    observed = np.square(true - predicted).mean()
    expected = true.var() + predicted.var() + (true.mean() - predicted.mean()) ** 2
    return float(1 - observed / expected) if expected else 0.0


def threshold_counts(
    scores: NDArray[np.floating], positive: NDArray[np.bool_]
) -> tuple[Int64s, Int64s]:
    """The number of positive and of all samples with at least each distinct score, the highest
    first."""
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    is_last = np.append(ordered[1:] != ordered[:-1], True)
    return positive[order].cumsum()[is_last], np.flatnonzero(is_last) + 1


def average_precision(positives: Int64s, totals: Int64s) -> float:
    """Precision at each distinct score, weighted by the added recall, from ``threshold_counts``;
    NaN without positive samples."""
    if not positives[-1]:
        return np.nan
    added = np.diff(positives, prepend=0)
    return float((positives / totals * added).sum() / positives[-1])


def roc_auc(positives: Int64s, totals: Int64s) -> float:
    """Area under the ROC curve from ``threshold_counts``: the probability that a positive sample
    has a higher score than a negative one, ties count half. The sum is of integers, so it is exact.
    NaN without positive or without negative samples."""
    negatives = totals - positives
    pairs = int(positives[-1]) * int(negatives[-1])
    if not pairs:
        return np.nan
    twice = np.diff(negatives, prepend=0) * (positives + np.append(0, positives[:-1]))
    return int(twice.sum()) / (2 * pairs)


def log_softmax(logits: NDArray[np.floating]) -> Float64s:
    """float64 (N, classes)."""
    shifted: Float64s = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return shifted
