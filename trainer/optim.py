"""SGD, and the learning rate as a pure function of the position."""

import math
from dataclasses import dataclass

import torch
from torch import nn

from trainer.config import RecipeConfig


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Linear warm-up from 0 to `peak`, then half a cosine to 0 (Loshchilov & Hutter 2017,
    arXiv:1608.03983).

    Positions are in samples, so the curve doesn't depend on how many make a step.
    """

    peak: float
    warmup_position: float
    end_position: float

    def __call__(self, position: float) -> float:
        """The learning rate at `position`; 0 from `end_position` on."""
        if position < self.warmup_position:
            return self.peak * position / self.warmup_position
        if position >= self.end_position:
            return 0.0
        way = (position - self.warmup_position) / (self.end_position - self.warmup_position)
        return self.peak * (1 + math.cos(math.pi * way)) / 2


def build_schedule(config: RecipeConfig, *, samples: int, end_position: int) -> Schedule:
    """The schedule of a run over a training split of `samples` that ends at `end_position`."""
    return Schedule(
        peak=config.peak_learning_rate,
        warmup_position=config.resolved_warmup_epochs * samples,
        end_position=end_position,
    )


def build_optimizer(model: nn.Module, config: RecipeConfig) -> torch.optim.Optimizer:
    """SGD with Nesterov's momentum; vectors (norms, biases) are not decayed.

    Fused: 19 ms instead of 55 for ResNet-50 on two cores.
    """
    parameters = list(model.parameters())
    groups = [
        {
            "params": [parameter for parameter in parameters if parameter.ndim > 1],
            "weight_decay": config.weight_decay,
        },
        {
            "params": [parameter for parameter in parameters if parameter.ndim <= 1],
            "weight_decay": 0.0,
        },
    ]
    return torch.optim.SGD(
        groups, lr=config.peak_learning_rate, momentum=config.momentum, nesterov=True, fused=True
    )


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
