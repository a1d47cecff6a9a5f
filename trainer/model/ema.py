"""A running average of the weights, which often scores better than the weights themselves."""

import copy
from typing import Generic, TypeVar

import torch
from torch import nn

Model = TypeVar("Model", bound=nn.Module)


class ModelEma(Generic[Model]):
    """`model` is a copy whose floating-point weights and statistics follow those of `source`:
    average = decay * average + (1 - decay) * weight, after each step (Polyak & Juditsky 1992).

    The decay of step t is at most (1 + t) / (10 + t), as in TensorFlow's ExponentialMovingAverage,
    or the average would hold on to the random start.
    """

    def __init__(self, source: Model, decay: float) -> None:
        self.model = copy.deepcopy(source).requires_grad_(False)
        self.decay = decay
        self._averages, self._counters = _tensors(self.model)
        self._weights, self._counts = _tensors(source)

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Follow the weights after `step` steps. Nothing here waits for the device."""
        torch._foreach_lerp_(self._averages, self._weights, 1 - decay_at(step, self.decay))
        if self._counters:
            torch._foreach_copy_(self._counters, self._counts)


def decay_at(step: int, decay: float) -> float:
    return min(decay, (1 + step) / (10 + step))


def _tensors(model: nn.Module) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Those in floating point, and the others, which count batches."""
    tensors = [*model.parameters(), *model.buffers()]
    return (
        [tensor for tensor in tensors if tensor.is_floating_point()],
        [tensor for tensor in tensors if not tensor.is_floating_point()],
    )
