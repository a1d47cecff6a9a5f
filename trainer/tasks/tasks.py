"""The tasks of tools/shard: number of outputs, loss and metrics.

An evaluation sums ``Task.batch_statistics`` over batches and ranks, in float64, which is exact for
counts up to 2^53, and passes the totals to ``Task.compute``: any number of ranks gives the same
counts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, mse_loss

from trainer.tasks.scores import Evaluation
from trainer.tasks.segmentation import Segmentation

# Thresholds of the average precision, evenly spaced from -LOGIT_LIMIT to LOGIT_LIMIT.
THRESHOLDS = 1024
LOGIT_LIMIT = 16.0

# Field -> its key in config.json, where earlier versions had another name.
RECORD_KEYS = {"primary_metric": "best_by", "stds": "deviations"}


class Task(Protocol):
    """Target of a training.

    `outputs`, float32, are the model's: (B, `outputs`), or (B, `outputs`, H, W) for one prediction
    per pixel. Targets are ``pipeline.Batch.targets``.
    """

    @property
    def outputs(self) -> int:
        """Number of outputs of the model's head."""

    @property
    def primary_metric(self) -> str:
        """The metric whose highest value selects the best checkpoint."""

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The training loss: a float32 scalar, the mean over the batch."""

    def batch_statistics(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """float64 (K,) over the labeled samples: their number, their summed loss, and more."""

    def compute(self, totals: Sequence[float]) -> Evaluation:
        """Metrics from the summed ``batch_statistics``, of at least one sample."""

    def describe(self) -> str:
        """The targets in words, such as "10 classes"."""


@dataclass(frozen=True, kw_only=True)
class Classification:
    """One class per image. Targets: int64 (B,), -1 does not count; in training also float32
    (B, classes), the fraction of each class in a mixed image."""

    classes: tuple[str, ...]
    label_smoothing: float = 0.0
    primary_metric: str = "top1"

    @property
    def outputs(self) -> int:
        return len(self.classes)

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return cross_entropy(outputs, targets, label_smoothing=self.label_smoothing)

    def batch_statistics(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Samples, loss, top-1 correct, top-5 correct (with fewer than 5 classes all samples)."""
        best = outputs.topk(min(5, outputs.shape[1]), dim=1).indices
        hits = best == targets[:, None]
        return torch.stack(
            [
                (targets >= 0).sum(dtype=torch.float64),
                cross_entropy(outputs, targets, ignore_index=-1, reduction="none").double().sum(),
                hits[:, 0].sum(dtype=torch.float64),
                hits.sum(dtype=torch.float64),
            ]
        )

    def compute(self, totals: Sequence[float]) -> Evaluation:
        samples, loss, top1, top5 = totals
        return Evaluation(
            samples=int(samples),
            loss=loss / samples,
            metrics={"top1": top1 / samples, "top5": top5 / samples},
            counts={"top1_correct": int(top1), "top5_correct": int(top5)},
        )

    def describe(self) -> str:
        return f"{len(self.classes)} classes"


@dataclass(frozen=True, kw_only=True)
class MultiLabel:
    """Any number of classes per image. Targets: float32 (B, classes), 1 for a class in the image; a
    row of NaN does not count."""

    classes: tuple[str, ...]
    primary_metric: str = "mean_average_precision"

    @property
    def outputs(self) -> int:
        return len(self.classes)

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return binary_cross_entropy_with_logits(outputs, targets)

    def batch_statistics(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Samples, loss, and histograms of each class's outputs over the images with the class and
        over all images, each (classes, THRESHOLDS)."""
        outputs, targets = _labeled(outputs, targets)
        losses = binary_cross_entropy_with_logits(outputs, targets, reduction="none").double()
        step = 2 * LOGIT_LIMIT / THRESHOLDS
        level = ((outputs + LOGIT_LIMIT) / step).long().clamp(0, THRESHOLDS - 1)
        cells = level + THRESHOLDS * torch.arange(outputs.shape[1], device=outputs.device)
        size = outputs.shape[1] * THRESHOLDS
        positives = torch.bincount(cells.flatten(), targets.double().flatten(), minlength=size)
        images = torch.bincount(cells.flatten(), minlength=size).double()
        return torch.cat([_samples_and_loss(len(outputs), losses.mean(1).sum()), positives, images])

    def compute(self, totals: Sequence[float]) -> Evaluation:
        """Average precision of each class that occurs, and its mean over them."""
        histograms = torch.tensor(totals[2:], dtype=torch.float64)
        positives, images = histograms.view(2, len(self.classes), THRESHOLDS)
        precision = average_precision(positives, images)
        rows = zip(self.classes, precision.tolist(), positives.sum(1).tolist(), strict=True)
        by_name = {name: value for name, value, count in rows if count}
        return Evaluation(
            samples=int(totals[0]),
            loss=totals[1] / totals[0],
            metrics={"mean_average_precision": sum(by_name.values()) / max(1, len(by_name))},
            by_name=by_name,
        )

    def describe(self) -> str:
        return f"{len(self.classes)} classes, several per image"


@dataclass(frozen=True, kw_only=True)
class Regression:
    """Numbers per image. Targets: float32 (B, targets); a row of NaN does not count.

    Attributes:
        means, stds: mean and standard deviation of each target over the training split. Outputs
            and loss are of standardized targets, so that targets of any unit have equal weight.
    """

    targets: tuple[str, ...]
    means: tuple[float, ...]
    stds: tuple[float, ...]
    primary_metric: str = "r2"

    @property
    def outputs(self) -> int:
        return len(self.targets)

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return mse_loss(outputs, self._standardize(targets))

    def batch_statistics(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Samples, loss, and for each standardized target the sum, the sum of squares, and the sum
        of squared errors."""
        outputs, truth = _labeled(outputs, self._standardize(targets))
        outputs, truth = outputs.double(), truth.double()
        errors = (outputs - truth).square()
        moments = [truth.sum(0), truth.square().sum(0), errors.sum(0)]
        return torch.cat([_samples_and_loss(len(outputs), errors.mean(1).sum()), *moments])

    def compute(self, totals: Sequence[float]) -> Evaluation:
        """R2: 1 - squared errors / squared distances from the mean of the evaluated split, averaged
        over the targets; 0 for a constant target."""
        samples = totals[0]
        total, squares, errors = torch.tensor(totals[2:], dtype=torch.float64).view(3, -1)
        spread = squares - total.square() / samples
        r2 = torch.where(spread > 1e-12 * samples, 1 - errors / spread.clamp(min=1e-300), 0.0)
        return Evaluation(
            samples=int(samples),
            loss=totals[1] / samples,
            metrics={"r2": float(r2.mean())},
            by_name=dict(zip(self.targets, r2.tolist(), strict=True)),
        )

    def describe(self) -> str:
        return f"{len(self.targets)} numbers per image"

    def _standardize(self, targets: torch.Tensor) -> torch.Tensor:
        means, stds = (
            torch.tensor(values, device=targets.device) for values in (self.means, self.stds)
        )
        return (targets - means) / stds


TASKS: Mapping[str, Any] = {
    "classification": Classification,
    "multi-label": MultiLabel,
    "regression": Regression,
    "segmentation": Segmentation,
}


def task_record(task: Task) -> dict[str, Any]:
    """Plain data from which ``task_from_record`` rebuilds the task."""
    (name,) = (name for name, kind in TASKS.items() if isinstance(task, kind))
    keys = {field.name: RECORD_KEYS.get(field.name, field.name) for field in fields(TASKS[name])}
    return {"task": name, **{key: getattr(task, field) for field, key in keys.items()}}


def task_from_record(record: Mapping[str, Any]) -> Task:
    """The task of a ``task_record``. Raises ``KeyError`` or ``TypeError`` for other data."""
    field_names = {key: field for field, key in RECORD_KEYS.items()}
    values: dict[str, Any] = {
        field_names.get(key, key): tuple(value) if isinstance(value, list) else value
        for key, value in record.items()
    }
    task: Task = TASKS[values.pop("task")](**values)
    return task


def average_precision(positives: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    """float64 (classes,): precision at each threshold, weighted by the added recall.

    Args:
        positives, images: float64 (classes, levels), histograms of the outputs, lowest level first,
            over the images with the class and over all images. Images at one level are ties.
    """
    positives, images = positives.flip(1), images.flip(1)
    precision = positives.cumsum(1) / images.cumsum(1).clamp(min=1)
    return (precision * positives).sum(1) / positives.sum(1).clamp(min=1)


def _labeled(outputs: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    labeled = ~targets.isnan().any(1)
    return outputs[labeled], targets[labeled]


def _samples_and_loss(samples: int, loss: torch.Tensor) -> torch.Tensor:
    """The first two batch statistics; `loss` is float64."""
    return torch.stack([torch.full_like(loss, samples), loss])
