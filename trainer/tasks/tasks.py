"""What is learned: the head's outputs, the loss, and what an evaluation counts, for each task that
tools/shard stores.

An evaluation adds up ``Task.sums`` over batches and ranks, in float64, which counts exactly up to
2^53, and reads the total once: any number of ranks gives the same counts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, mse_loss

from trainer.tasks.scores import Evaluation
from trainer.tasks.segmentation import Segmentation

# Average precision is taken over so many thresholds, evenly spaced from -LIMIT to LIMIT.
THRESHOLDS = 1024
LOGIT_LIMIT = 16.0


class Task(Protocol):
    """What is learned of an image.

    `outputs` (B, `outputs`) are the model's, float32, (B, `outputs`, H, W) where each pixel has its
    own; targets are those of ``pipeline.Batch``.
    """

    @property
    def outputs(self) -> int:
        """How many numbers the model's head gives."""

    @property
    def best_by(self) -> str:
        """The metric whose highest value makes the best evaluation."""

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """What a step makes smaller: a float32 scalar, the mean over the batch."""

    def sums(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """float64 (K,), of the samples that count: their number, their summed loss, and more."""

    def evaluation(self, totals: Sequence[float]) -> Evaluation:
        """What the totals of all ``sums`` say; the first, the number of samples, is not 0."""

    def describe(self) -> str:
        """What the head tells apart, for people: "10 classes"."""


@dataclass(frozen=True, kw_only=True)
class Classification:
    """One class an image. Targets: int64 (B,), -1 doesn't count; in training also float32
    (B, classes), each class's share of a mixed image."""

    classes: tuple[str, ...]
    label_smoothing: float = 0.0
    best_by: str = "top1"

    @property
    def outputs(self) -> int:
        return len(self.classes)

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return cross_entropy(outputs, targets, label_smoothing=self.label_smoothing)

    def sums(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Samples, loss, top-1 correct, top-5 correct; with fewer than 5 classes, top-5 is
        top-all."""
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

    def evaluation(self, totals: Sequence[float]) -> Evaluation:
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
    """Any number of classes an image. Targets: float32 (B, classes), 1 where an image shows the
    class; a row of NaN doesn't count."""

    classes: tuple[str, ...]
    best_by: str = "mean_average_precision"

    @property
    def outputs(self) -> int:
        return len(self.classes)

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return binary_cross_entropy_with_logits(outputs, targets)

    def sums(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Samples, loss, and histograms of each class's outputs: of the images that show it, and of
        all, each (classes, THRESHOLDS)."""
        outputs, targets = _that_count(outputs, targets)
        loss = (
            binary_cross_entropy_with_logits(outputs, targets, reduction="none")
            .double()
            .mean(1)
            .sum()
        )
        step = 2 * LOGIT_LIMIT / THRESHOLDS
        level = ((outputs + LOGIT_LIMIT) / step).long().clamp(0, THRESHOLDS - 1)
        place = level + THRESHOLDS * torch.arange(outputs.shape[1], device=outputs.device)
        bins = outputs.shape[1] * THRESHOLDS
        shown = torch.bincount(place.flatten(), targets.double().flatten(), minlength=bins)
        every = torch.bincount(place.flatten(), minlength=bins).double()
        return torch.cat([_head(len(outputs), loss), shown, every])

    def evaluation(self, totals: Sequence[float]) -> Evaluation:
        histograms = torch.tensor(totals[2:], dtype=torch.float64)
        shown, every = histograms.view(2, len(self.classes), THRESHOLDS)
        precision = average_precision(shown, every)
        there = (shown.sum(1) > 0).tolist()
        by_name = {
            name: value
            for name, value, counts in zip(self.classes, precision.tolist(), there, strict=True)
            if counts
        }
        return Evaluation(
            samples=int(totals[0]),
            loss=totals[1] / totals[0],
            metrics={"mean_average_precision": sum(by_name.values()) / max(1, len(by_name))},
            by_name=by_name,
        )

    def describe(self) -> str:
        return f"{len(self.classes)} classes, any of them together"


@dataclass(frozen=True, kw_only=True)
class Regression:
    """Numbers of an image. Targets: float32 (B, targets); a row of NaN doesn't count.

    Attributes:
        means, deviations: of each target over the training split. The model's outputs and the loss
            are in deviations from the mean, so that targets of any unit weigh the same.
    """

    targets: tuple[str, ...]
    means: tuple[float, ...]
    deviations: tuple[float, ...]
    best_by: str = "r2"

    @property
    def outputs(self) -> int:
        return len(self.targets)

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return mse_loss(outputs, self._standardised(targets))

    def sums(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Samples, loss, and of each target the sum, the sum of squares, and that of the squared
        errors, in deviations from the training split's mean."""
        outputs, truth = _that_count(outputs, self._standardised(targets))
        outputs, truth = outputs.double(), truth.double()
        errors = (outputs - truth).square()
        moments = [truth.sum(0), truth.square().sum(0), errors.sum(0)]
        return torch.cat([_head(len(outputs), errors.mean(1).sum()), *moments])

    def evaluation(self, totals: Sequence[float]) -> Evaluation:
        """R2 is the mean over the targets of 1 - squared errors / squared distances from this
        split's own mean; 0 where a target never varies."""
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
        return f"{len(self.targets)} numbers"

    def _standardised(self, targets: torch.Tensor) -> torch.Tensor:
        means, deviations = (
            torch.tensor(values, device=targets.device) for values in (self.means, self.deviations)
        )
        return (targets - means) / deviations


TASKS: Mapping[str, Any] = {
    "classification": Classification,
    "multi-label": MultiLabel,
    "regression": Regression,
    "segmentation": Segmentation,
}


def task_record(task: Task) -> dict[str, Any]:
    """Plain data that ``task_from_record`` makes the task from again."""
    (name,) = (name for name, owner in TASKS.items() if isinstance(task, owner))
    return {"task": name, **{each.name: getattr(task, each.name) for each in fields(TASKS[name])}}


def task_from_record(record: Mapping[str, Any]) -> Task:
    """Raises ``KeyError`` or ``TypeError`` for what ``task_record`` didn't make."""
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in record.items()
    }
    task: Task = TASKS[values.pop("task")](**values)
    return task


def average_precision(shown: torch.Tensor, every: torch.Tensor) -> torch.Tensor:
    """float64 (classes,): precision at each threshold, weighted by the recall that it adds.

    Args:
        shown, every: float64 (classes, levels), histograms of the outputs from the lowest level to
            the highest: of images that show the class, and of all. Images at one level are ties.
    """
    shown, every = shown.flip(1), every.flip(1)
    precision = shown.cumsum(1) / every.cumsum(1).clamp(min=1)
    return (precision * shown).sum(1) / shown.sum(1).clamp(min=1)


def _that_count(outputs: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    counts = ~targets.isnan().any(1)
    return outputs[counts], targets[counts]


def _head(samples: int, loss: torch.Tensor) -> torch.Tensor:
    """What all sums begin with; `loss` is float64."""
    return torch.stack([torch.full_like(loss, samples), loss])
