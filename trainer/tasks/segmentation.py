"""A class for each pixel: the loss, and what an evaluation counts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy

from pipeline.storage.manifest import VOID
from trainer.tasks.scores import Evaluation

# Of the auxiliary head's loss, as in torchvision's references/segmentation/train.py (criterion).
AUXILIARY_WEIGHT = 0.5


@dataclass(frozen=True, kw_only=True)
class Segmentation:
    """Targets: uint8 (B, H, W), classes; VOID doesn't count. Outputs: float32 (B, classes, H, W),
    in training also (B, 2, classes, H, W), of a model's head and of its auxiliary head."""

    classes: tuple[str, ...]
    best_by: str = "mean_iou"

    @property
    def outputs(self) -> int:
        return len(self.classes)

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The mean over the images of each one's mean over its pixels: how an image weighs doesn't
        depend on what lies beside it in a rank's batch."""
        if outputs.ndim == 4:
            return image_losses(outputs, targets).mean()
        head, auxiliary = (image_losses(part, targets).mean() for part in outputs.unbind(1))
        return head + AUXILIARY_WEIGHT * auxiliary

    def sums(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Images that say something, loss, and how many pixels of each class were taken for which,
        (classes * classes)."""
        truth, known = targets.long(), targets != VOID
        places = truth[known] * self.outputs + outputs.argmax(1)[known]
        cells = torch.bincount(places, minlength=self.outputs**2).double()
        # An image that says nothing has a loss of 0.
        loss = image_losses(outputs, targets).double().sum()
        return torch.cat([torch.stack([known.flatten(1).any(1).sum(), loss]), cells])

    def evaluation(self, totals: Sequence[float]) -> Evaluation:
        """The intersection over union of a class is that of its pixels in all images together, as
        in PASCAL VOC (Everingham et al. 2010, section 4.4, doi:10.1007/s11263-009-0275-4); their
        mean is that over the classes which the images or the outputs show."""
        samples, cells = totals[0], self.cells(totals)
        right = cells.diagonal()
        union = cells.sum(0) + cells.sum(1) - right
        by_name = {
            name: hits / size
            for name, hits, size in zip(self.classes, right.tolist(), union.tolist(), strict=True)
            if size
        }
        pixels, correct = int(cells.sum()), int(right.sum())
        return Evaluation(
            samples=int(samples),
            loss=totals[1] / samples,
            metrics={
                "mean_iou": sum(by_name.values()) / len(by_name),
                "pixel_accuracy": correct / pixels,
            },
            counts={"pixels": pixels, "pixels_correct": correct},
            by_name=by_name,
        )

    def cells(self, totals: Sequence[float]) -> NDArray[np.int64]:
        """Of the totals of all ``sums``, int64 (classes, classes): pixels of the row's class taken
        for the column's."""
        return np.array(totals[2:], np.int64).reshape(self.outputs, self.outputs)

    def describe(self) -> str:
        return f"{len(self.classes)} classes, one a pixel"


def image_losses(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """float32 (B,): the mean cross entropy over an image's pixels, 0 where all are VOID."""
    losses = cross_entropy(outputs, targets.long(), ignore_index=VOID, reduction="none")
    return losses.flatten(1).sum(1) / (targets != VOID).flatten(1).sum(1).clamp(min=1)
