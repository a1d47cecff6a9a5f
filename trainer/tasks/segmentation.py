"""Semantic segmentation: one class per pixel."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from pipeline.storage.manifest import VOID
from trainer.tasks.scores import Evaluation

# Weight of the auxiliary head's loss, from torchvision's references/segmentation/train.py
# (criterion).
AUXILIARY_WEIGHT = 0.5


@dataclass(frozen=True, kw_only=True)
class Segmentation:
    """Targets: uint8 (B, H, W), classes; VOID pixels do not count. Outputs: float32 (B, classes, H,
    W); in training of a model with an auxiliary head (B, 2, classes, H, W), its outputs second."""

    classes: tuple[str, ...]
    primary_metric: str = "mean_iou"

    @property
    def outputs(self) -> int:
        return len(self.classes)

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The mean over the images of ``image_losses``, so that an image has the same weight in
        any rank's batch."""
        if outputs.ndim == 4:
            return image_losses(outputs, targets).mean()
        head, auxiliary = (image_losses(logits, targets).mean() for logits in outputs.unbind(1))
        return head + AUXILIARY_WEIGHT * auxiliary

    def batch_statistics(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Images with labeled pixels, their summed loss, and the confusion matrix of the pixels,
        (classes * classes)."""
        truth, labeled = targets.long(), targets != VOID
        cells = truth[labeled] * self.outputs + outputs.argmax(1)[labeled]
        counts = torch.bincount(cells, minlength=self.outputs**2).double()
        # An image without labeled pixels has a loss of 0.
        loss = image_losses(outputs, targets).double().sum()
        return torch.cat([torch.stack([labeled.flatten(1).any(1).sum(), loss]), counts])

    def compute(self, totals: Sequence[float]) -> Evaluation:
        """Intersection over union of each class over the pixels of all images, as in PASCAL VOC
        (Everingham et al. 2010, section 4.4, doi:10.1007/s11263-009-0275-4), and its mean over the
        classes that occur in masks or outputs."""
        samples = totals[0]
        counts = np.array(totals[2:], np.int64).reshape(self.outputs, self.outputs)
        correct = counts.diagonal()
        union = counts.sum(0) + counts.sum(1) - correct
        rows = zip(self.classes, correct.tolist(), union.tolist(), strict=True)
        by_name = {name: intersection / size for name, intersection, size in rows if size}
        pixels, pixels_correct = int(counts.sum()), int(correct.sum())
        return Evaluation(
            samples=int(samples),
            loss=totals[1] / samples,
            metrics={
                "mean_iou": sum(by_name.values()) / len(by_name),
                "pixel_accuracy": pixels_correct / pixels,
            },
            counts={"pixels": pixels, "pixels_correct": pixels_correct},
            by_name=by_name,
            confusion=counts,
        )

    def describe(self) -> str:
        return f"{len(self.classes)} classes per pixel"


def image_losses(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """float32 (B,): the mean cross entropy over an image's pixels, 0 if all are VOID."""
    losses = cross_entropy(outputs, targets.long(), ignore_index=VOID, reduction="none")
    return losses.flatten(1).sum(1) / (targets != VOID).flatten(1).sum(1).clamp(min=1)
