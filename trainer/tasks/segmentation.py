"""Semantic segmentation: one class per pixel."""

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from pipeline.storage.manifest import VOID
from trainer.tasks.constants import optional_constant
from trainer.tasks.formulas import ClassScores, Float64s, mean_of_defined, named, ratios
from trainer.tasks.losses import focus
from trainer.tasks.metric_names import TASK_METRICS
from trainer.tasks.scores import Answer, Evaluation, Statistics

# Weight of the auxiliary head's loss, from torchvision's references/segmentation/train.py
# (criterion).
AUXILIARY_WEIGHT = 0.5


@dataclass(frozen=True, kw_only=True)
class Segmentation:
    """Targets: uint8 (B, H, W), classes; VOID pixels do not count. Outputs: float32 (B, classes, H,
    W); in training of a model with an auxiliary head (B, 2, classes, H, W), its outputs second.

    Attributes:
        class_weights: factor of each class in the training loss of its pixels; None for 1.
        loss_name: the training loss, one of ``TASK_LOSSES``.
    """

    classes: tuple[str, ...]
    primary_metric: str = "mean_iou"
    class_weights: tuple[float, ...] | None = None
    loss_name: str = "cross-entropy"

    @property
    def outputs(self) -> int:
        return len(self.classes)

    @property
    def metrics(self) -> tuple[str, ...]:
        return TASK_METRICS["segmentation"]

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The mean over the images of ``image_losses``, so that an image has the same weight in
        any rank's batch."""
        weights = optional_constant(self.class_weights, outputs.device)
        is_focal = self.loss_name == "focal"
        if outputs.ndim == 4:
            return image_losses(outputs, targets, weights, is_focal=is_focal).mean()
        head, auxiliary = (
            image_losses(logits, targets, weights, is_focal=is_focal).mean()
            for logits in outputs.unbind(1)
        )
        return head + AUXILIARY_WEIGHT * auxiliary

    def batch_statistics(
        self, outputs: torch.Tensor, targets: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Value: the loss. Counts: the confusion matrix of the pixels, (classes * classes)."""
        truth, labeled = targets.long(), targets != VOID
        cells = truth[labeled] * self.outputs + outputs.argmax(1)[labeled]
        counts = torch.bincount(cells, minlength=self.outputs**2)
        return image_losses(outputs, targets)[:, None], counts

    def compute(self, statistics: Statistics) -> Evaluation:
        """Intersection over union of each class over the pixels of all images, as in PASCAL VOC
        (Everingham et al. 2010, section 4.4, doi:10.1007/s11263-009-0275-4), its Dice coefficient
        over the same pixels, and their means over the classes that occur in masks or outputs."""
        counts = statistics.counts.reshape(self.outputs, self.outputs)
        correct, true, predicted = counts.diagonal(), counts.sum(1), counts.sum(0)
        iou = ratios(correct, true + predicted - correct)
        scores = ClassScores.from_counts(correct, true, predicted)
        pixels, pixels_correct = int(counts.sum()), int(correct.sum())
        return Evaluation(
            samples=len(statistics.samples),
            loss=float(statistics.values.mean(dtype=np.float64)),
            metrics={
                "mean_iou": mean_of_defined(iou),
                "mean_dice": mean_of_defined(scores.f1),
                "pixel_accuracy": pixels_correct / pixels,
            },
            counts={"pixels": pixels, "pixels_correct": pixels_correct},
            baselines={"majority_share": int(true.max()) / pixels},
            main_column="iou",
            by_name=named(self.classes, iou),
            more_by_name={
                "pixels": named(self.classes, true),
                "precision": named(self.classes, scores.precision),
                "recall": named(self.classes, scores.recall),
                "dice": named(self.classes, scores.f1),
            },
            confusion=counts,
        )

    def losses(self, statistics: Statistics) -> Float64s:
        return statistics.values[:, 0].astype(np.float64)

    def answers(self, statistics: Statistics) -> list[Answer]:
        return [Answer(loss=loss) for loss in self.losses(statistics).tolist()]

    def describe(self) -> str:
        return f"{len(self.classes)} classes per pixel"


def image_losses(
    outputs: torch.Tensor,
    targets: torch.Tensor,
    weights: torch.Tensor | None = None,
    *,
    is_focal: bool = False,
) -> torch.Tensor:
    """float32 (B,): the mean cross entropy or focal loss over an image's pixels, each times the
    weight of its class; 0 if all are VOID."""
    truth = targets.long()
    losses = cross_entropy(outputs, truth, weights, ignore_index=VOID, reduction="none")
    if is_focal:
        plain = cross_entropy(outputs, truth, ignore_index=VOID, reduction="none")
        losses = losses * focus(plain.neg().exp())
    return losses.flatten(1).sum(1) / (targets != VOID).flatten(1).sum(1).clamp(min=1)
