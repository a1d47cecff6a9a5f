"""What an evaluation collects of the samples, and its results."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.tasks.metric_names import COLUMN_NAMES


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

    def take(self, places: NDArray[np.int64]) -> "Statistics":
        """Those of the samples at `places` (B,), counted from 0, in this order."""
        samples, values = self.samples[places], self.values[places]
        return Statistics(samples=samples, values=values, counts=self.counts)

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
        baselines: name from BASELINE_NAMES -> what an answer that is the same for all images
            reaches on these samples.
        main_column: name from COLUMN_NAMES of the metric in `by_name`.
        by_name: metric of each class or target.
        more_by_name: further metrics of each class or target, by their names from COLUMN_NAMES.
        confusion: int64 (classes, classes), the number of samples or pixels of the row's class that
            were predicted as the column's; None if not counted.
    """

    samples: int
    loss: float
    metrics: Mapping[str, float]
    counts: Mapping[str, int] = field(default_factory=dict)
    baselines: Mapping[str, float] = field(default_factory=dict)
    main_column: str = "recall"
    by_name: Mapping[str, float] = field(default_factory=dict)
    more_by_name: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    confusion: NDArray[np.int64] | None = None

    def as_record(self) -> dict[str, Any]:
        """Fields of a record of metrics.jsonl."""
        values = {"loss": self.loss, **self.metrics, **self.baselines}
        return {"samples": self.samples, **self.counts, **values}

    def tables(self) -> dict[str, dict[str, float]]:
        """The metrics of each class or target: "by_name", then "<metric>_by_name"."""
        more = {f"{name}_by_name": dict(rows) for name, rows in self.more_by_name.items()}
        return {"by_name": dict(self.by_name), **more}

    def columns(self) -> dict[str, Mapping[str, float]]:
        """The same by the names of the metrics, in the order of COLUMN_NAMES."""
        columns = {self.main_column: self.by_name, **self.more_by_name}
        return {name: columns[name] for name in COLUMN_NAMES if name in columns}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The target of a sample and the prediction for it, as text; "" where the task has none.

    Attributes:
        loss: of this sample.
        probability: predicted for the class `predicted`; in multi-label for the class `tag`, which
            adds most to the loss.
    """

    loss: float
    true: str = ""
    predicted: str = ""
    tag: str = ""
    probability: float | None = None
