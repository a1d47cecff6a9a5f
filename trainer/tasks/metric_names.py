"""Names of the losses and metrics: which task has which, how they are printed, and which value is
better."""

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
    "balanced_accuracy": ("balanced accuracy", ".2%"),
    "macro_f1": ("macro F1", ".2%"),
    "top5": ("top-5", ".2%"),
    "quadratic_kappa": ("quadratic kappa", ".4f"),
    "roc_auc": ("ROC AUC", ".4f"),
    "macro_precision": ("macro precision", ".2%"),
    "macro_recall": ("macro recall", ".2%"),
    "rmse": ("RMSE", ".4g"),
    "mae": ("MAE", ".4g"),
    "mean_dice": ("mean Dice", ".2%"),
    "pixel_accuracy": ("pixel accuracy", ".2%"),
    "log_loss": ("log loss", ".4f"),
    "loss": ("loss", ".4f"),
}

# What an answer that is the same for all images reaches, to compare a metric with.
BASELINE_NAMES = {
    "majority_share": ("majority's share", ".2%"),
    "rmse_of_mean": ("RMSE of the mean", ".4g"),
    "mae_of_mean": ("MAE of the mean", ".4g"),
}
# Metric -> its baseline.
BASELINES = {
    "top1": "majority_share",
    "pixel_accuracy": "majority_share",
    "rmse": "rmse_of_mean",
    "mae": "mae_of_mean",
}

# Metrics of a class or target: (name in a table, format), in the order of the columns.
COLUMN_NAMES = {
    "samples": ("n", ",d"),
    "pixels": ("pixels", ",d"),
    "precision": ("precision", ".4f"),
    "recall": ("recall", ".4f"),
    "f1": ("F1", ".4f"),
    "average_precision": ("AP", ".4f"),
    "roc_auc": ("ROC AUC", ".4f"),
    "iou": ("IoU", ".4f"),
    "dice": ("Dice", ".4f"),
    "r2": ("R2", ".4f"),
    "rmse": ("RMSE", ".4g"),
    "rmse_of_mean": ("of the mean", ".4g"),
    "mae": ("MAE", ".4g"),
    "mae_of_mean": ("of the mean", ".4g"),
}

# Those of each task, the primary one first.
TASK_METRICS = {
    "classification": (
        *("top1", "top5", "macro_f1", "balanced_accuracy", "quadratic_kappa", "roc_auc"),
        *("log_loss", "loss"),
    ),
    "multi-label": (
        *("mean_average_precision", "macro_f1", "macro_precision", "macro_recall", "roc_auc"),
        *("log_loss", "loss"),
    ),
    "regression": ("r2", "rmse", "mae", "loss"),
    "segmentation": ("mean_iou", "mean_dice", "pixel_accuracy", "loss"),
}

# The values of --loss of each task, the default first.
TASK_LOSSES: Mapping[str, tuple[str, ...]] = {
    "classification": ("cross-entropy", "focal", "bce"),
    "multi-label": ("bce", "focal"),
    "regression": (),
    "segmentation": ("cross-entropy", "focal"),
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
    title, spec = (METRIC_NAMES | BASELINE_NAMES)[name.removesuffix(FLIPS)]
    return title + (" with flips" if name.endswith(FLIPS) else ""), format(value, spec)


def metric_rows(record: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """(name, value) as text of each metric in `record`, whose keys begin with `prefix`, each with
    its baseline below it."""
    names = [name + ending for ending in ("", FLIPS) for name in METRIC_NAMES]
    measured = [name for name in names if prefix + name in record]
    both = [part for name in measured for part in (name, BASELINES.get(name)) if part is not None]
    return [metric_text(name, record[prefix + name]) for name in both if prefix + name in record]


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
