"""The network as it is exported: from the pixels of images to outputs in the units of the task."""

import torch
from torch import nn

from trainer.model.build import Classifier
from trainer.tasks.regression import Regression
from trainer.tasks.tasks import Task


class ExportedNetwork(nn.Module):
    """A model in evaluation mode, which returns regression's targets in their own units.

    Args:
        is_float: whether images are float32 from 0 to 1, in place of uint8.
    """

    means: torch.Tensor
    stds: torch.Tensor

    def __init__(self, model: Classifier, task: Task, *, is_float: bool = False) -> None:
        super().__init__()
        self.model = model
        self.is_float = is_float
        self.is_standardized = isinstance(task, Regression)
        if isinstance(task, Regression):
            self.register_buffer("means", torch.tensor(task.means))
            self.register_buffer("stds", torch.tensor(task.stds))
        self.eval().requires_grad_(False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """uint8 or float32 (B, 3, H, W) -> float32 logits, (B, classes) or (B, classes, H, W), or
        predictions (B, targets)."""
        outputs: torch.Tensor = self.model(images * 255 if self.is_float else images)
        return outputs * self.stds + self.means if self.is_standardized else outputs

    def images_for(self, images: torch.Tensor) -> torch.Tensor:
        """uint8 images as this network takes them."""
        return images / 255 if self.is_float else images
