"""Names of the metrics: which task has which, how they are printed, and which value is better."""

import math
from collections.abc import Mapping
from typing import Any

# Ending of the names of metrics with --tta flip.
FLIPS = "_with_flips"

# Name in files -> (name in text, format), in the order in which they are printed.
METRIC_NAMES = {
    "top1": ("top-1", ".2%"),
    "mean_average_precision": ("mAP", ".2%"),
    "r2": ("R2", ".4f"),
    "mean_iou": ("mIoU", ".2%"),
    "top5": ("top-5", ".2%"),
    "macro_f1": ("macro F1", ".2%"),
    "balanced_accuracy": ("balanced accuracy", ".2%"),
    "quadratic_kappa": ("quadratic kappa", ".4f"),
    "roc_auc": ("ROC AUC", ".4f"),
    "rmse": ("RMSE", ".4g"),
    "mae": ("MAE", ".4g"),
    "mean_dice": ("mean Dice", ".2%"),
    "pixel_accuracy": ("pixel accuracy", ".2%"),
    "log_loss": ("log loss", ".4f"),
    "loss": ("loss", ".4f"),
}

# Those of each task, the primary one first.
TASK_METRICS = {
    "classification": (
        *("top1", "top5", "macro_f1", "balanced_accuracy", "quadratic_kappa", "roc_auc"),
        *("log_loss", "loss"),
    ),
    "multi-label": ("mean_average_precision", "macro_f1", "roc_auc", "log_loss", "loss"),
    "regression": ("r2", "rmse", "mae", "loss"),
    "segmentation": ("mean_iou", "mean_dice", "pixel_accuracy", "loss"),
}

LOWER_IS_BETTER = frozenset({"loss", "log_loss", "rmse", "mae"})

# Most metrics in a line of the display, without the loss and those with flips.
LINE_METRICS = 3


def is_gain(name: str, value: float, best: float | None) -> bool:
    """Whether `value` of the metric `name` is better than `best`; NaN is worse than any number."""
    if best is None or math.isnan(best):
        return not math.isnan(value) or best is None
    return value < best if name in LOWER_IS_BETTER else value > best


def metric_text(name: str, value: float) -> tuple[str, str]:
    """The name and the value of a metric as text."""
    title, spec = METRIC_NAMES[name.removesuffix(FLIPS)]
    return title + (" with flips" if name.endswith(FLIPS) else ""), format(value, spec)


def metric_rows(record: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """(name, value) as text of each metric in `record`, whose keys begin with `prefix`."""
    names = [name + ending for ending in ("", FLIPS) for name in METRIC_NAMES]
    return [metric_text(n, record[prefix + n]) for n in names if prefix + n in record]


def main_rows(
    record: Mapping[str, Any], primary: str | None = None, prefix: str = ""
) -> list[tuple[str, str]]:
    """The ``metric_rows`` for a line: the metric `primary`, by default the first that `record` has,
    with flips as well, a few others, and the loss."""
    names = [name for name in METRIC_NAMES if prefix + name in record]
    if not names:
        return []
    first = primary if primary in names else names[0]
    others = [name for name in names if name not in (first, "loss")]
    # The loss and the log loss of a classification are the same.
    last = () if first == "log_loss" else ("loss",)
    chosen = dict.fromkeys((first, first + FLIPS, *others[: LINE_METRICS - 1], *last))
    return [metric_text(n, record[prefix + n]) for n in chosen if prefix + n in record]
