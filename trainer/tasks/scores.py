"""What an evaluation collects of the samples, and its results."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """What the metrics of a task need of N labeled samples.

    Attributes:
        samples: int64 (N,), rows of the split's sample index.
        values: float32 (N, V), of each sample.
        counts: int64 (C,), summed over the samples.
    """

    samples: NDArray[np.int64]
    values: NDArray[np.float32]
    counts: NDArray[np.int64]

    def halves(self) -> tuple["Statistics", "Statistics"]:
        """The first and the second half of the values and of the counts."""
        values, counts = np.split(self.values, 2, axis=1), np.split(self.counts, 2)
        first, second = (
            Statistics(samples=self.samples, values=np.ascontiguousarray(half), counts=numbers)
            for half, numbers in zip(values, counts, strict=True)
        )
        return first, second


def merge(parts: Sequence[Statistics]) -> Statistics:
    """The statistics of all samples of `parts`, in the order of the samples: the same for any
    division into parts, such as ranks or folds, each of which has other samples."""
    samples = np.concatenate([part.samples for part in parts])
    order = np.argsort(samples, kind="stable")
    return Statistics(
        samples=samples[order],
        values=np.concatenate([part.values for part in parts])[order],
        counts=np.sum([part.counts for part in parts], axis=0),
    )


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Results over all ranks, with each sample counted once.

    Attributes:
        loss: mean over the samples, without label smoothing and class weights.
        metrics: name from METRIC_NAMES, but "loss" -> value; the task names the `primary_metric`.
        counts: integer counts behind the metrics, if there are any.
        by_name: metric of each class or target, if the task has one.
        more_by_name: further metrics of each class or target, by the metric's name.
        confusion: int64 (classes, classes), the number of samples or pixels of the row's class that
            were predicted as the column's; None if not counted.
    """

    samples: int
    loss: float
    metrics: Mapping[str, float]
    counts: Mapping[str, int] = field(default_factory=dict)
    by_name: Mapping[str, float] = field(default_factory=dict)
    more_by_name: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    confusion: NDArray[np.int64] | None = None

    def as_record(self) -> dict[str, Any]:
        """Fields of a record of metrics.jsonl."""
        return {"samples": self.samples, **self.counts, "loss": self.loss, **self.metrics}

    def tables(self) -> dict[str, dict[str, float]]:
        """The metrics of each class or target: "by_name", then "<metric>_by_name"."""
        more = {f"{name}_by_name": dict(rows) for name, rows in self.more_by_name.items()}
        return {"by_name": dict(self.by_name), **more}
