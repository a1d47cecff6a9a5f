"""Metrics of an evaluation: their names and how they are printed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Name in files -> (name in text, format).
METRIC_NAMES = {
    "top1": ("top-1", ".2%"),
    "top5": ("top-5", ".2%"),
    "mean_average_precision": ("mAP", ".2%"),
    "r2": ("R2", ".4f"),
    "mean_iou": ("mIoU", ".2%"),
    "pixel_accuracy": ("pixel accuracy", ".2%"),
    "top1_with_flips": ("top-1 with flips", ".2%"),
    "mean_average_precision_with_flips": ("mAP with flips", ".2%"),
    "r2_with_flips": ("R2 with flips", ".4f"),
    "mean_iou_with_flips": ("mIoU with flips", ".2%"),
}


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Results over all ranks, with each sample counted once.

    Attributes:
        loss: mean over the samples, without label smoothing.
        metrics: name from METRIC_NAMES -> value; the task names the `primary_metric`.
        counts: integer counts behind the metrics, if there are any.
        by_name: metric of each class or target, if the task has one.
        confusion: int64 (classes, classes), the number of samples or pixels of the row's class that
            were predicted as the column's; None if not counted.
    """

    samples: int
    loss: float
    metrics: Mapping[str, float]
    counts: Mapping[str, int] = field(default_factory=dict)
    by_name: Mapping[str, float] = field(default_factory=dict)
    confusion: NDArray[np.int64] | None = None

    def as_record(self) -> dict[str, Any]:
        """Fields of a record of metrics.jsonl."""
        return {"samples": self.samples, **self.counts, "loss": self.loss, **self.metrics}


def metric_rows(record: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """(name, value) as text of each metric in `record`, whose keys begin with `prefix`."""
    return [
        (name, format(record[prefix + key], spec))
        for key, (name, spec) in METRIC_NAMES.items()
        if prefix + key in record
    ]
