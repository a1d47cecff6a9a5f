"""Memory that ends in chosen steps and ranks, forward or backward."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from trainer.model.build import Classifier
from trainer.train_step import TrainStep

# Step of the run, number of images -> whether memory ends there.
EndsAt = Callable[[int, int], bool]


def out_of_memory() -> torch.OutOfMemoryError:
    return torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")


class Shortage(nn.Module):
    """The identity, in training; memory ends in its forward or backward pass.

    Attributes:
        step: the step that is computed.
        ends: whether memory ends there for this number of images.
        backward: whether it ends in the backward pass.
    """

    def __init__(self, ends: EndsAt, *, backward: bool) -> None:
        super().__init__()
        self.step, self.ends, self.backward = 0, ends, backward

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.training and self.ends(self.step, len(images)):
            if not self.backward:
                raise out_of_memory()
            result: torch.Tensor = _EndsBackward.apply(images)  # type: ignore[no-untyped-call]
            return result
        return images


class _EndsBackward(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, images: torch.Tensor) -> torch.Tensor:
        return images.clone()

    @staticmethod
    def backward(context: Any, *gradients: torch.Tensor) -> Any:
        raise out_of_memory()


def shorten_memory(patch: pytest.MonkeyPatch, ends: EndsAt) -> None:
    """Let memory end in the forward pass of the trainer's steps."""
    step_of, forward, now = TrainStep.__call__, Classifier.forward, [0]

    def make_step(self: TrainStep, *arguments: Any, step: int = 0) -> torch.Tensor:
        now[0] = step
        return step_of(self, *arguments, step=step)

    def limited(self: Classifier, images: torch.Tensor) -> torch.Tensor:
        # Without gradients it is an evaluation, or an image on which a model is tried.
        is_in_step = self.training and torch.is_grad_enabled() and images.device.type != "meta"
        if is_in_step and ends(now[0], len(images)):
            raise out_of_memory()
        return forward(self, images)

    patch.setattr(TrainStep, "__call__", make_step)
    patch.setattr(Classifier, "forward", limited)
