"""What an evaluation says, in figures and for people."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# Names of metrics in files -> for people, and how they are printed.
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
    """Of all ranks together, each sample once.

    Attributes:
        loss: mean over the samples, not smoothed.
        metrics: names of METRIC_NAMES -> values; the task says which is `best_by`.
        counts: what the metrics were made of, where that is whole numbers.
        by_name: for each class or target its own metric, where the task has one.
    """

    samples: int
    loss: float
    metrics: Mapping[str, float]
    counts: Mapping[str, int] = field(default_factory=dict)
    by_name: Mapping[str, float] = field(default_factory=dict)

    def as_record(self) -> dict[str, Any]:
        """What a line of metrics.jsonl says of it."""
        return {"samples": self.samples, **self.counts, "loss": self.loss, **self.metrics}


def describe_metrics(metrics: Mapping[str, float]) -> str:
    """The metrics in a line: "top-1 76.10%  top-5 92.90%"."""
    return "  ".join(" ".join(row) for row in metric_rows(metrics))


def metric_rows(metrics: Mapping[str, float]) -> list[tuple[str, str]]:
    """(name, value) of each metric, for people."""
    return [
        (METRIC_NAMES[name][0], format(value, METRIC_NAMES[name][1]))
        for name, value in metrics.items()
    ]
