"""Optimizer and learning-rate schedule of a recipe."""

from typing import Any

import torch
from torch import nn

from trainer.config import RecipeConfig
from trainer.optim.lars import LARS
from trainer.optim.schedule import Schedule


def build_schedule(config: RecipeConfig, *, samples: int, end_position: int) -> Schedule:
    """The schedule of a run that ends at `end_position`; an epoch has `samples` samples."""
    return Schedule(
        peak=config.peak_learning_rate,
        warmup_position=config.resolved_warmup_epochs * samples,
        end_position=end_position,
        shape=config.schedule,
    )


def build_optimizer(model: nn.Module, config: RecipeConfig) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum, AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101) or LARS.

    Vectors (norms, biases) have no weight decay. SGD and AdamW are fused: for ResNet-50 on two
    cores SGD takes 19 ms instead of 55.
    """
    parameters = list(model.parameters())
    matrices = [parameter for parameter in parameters if parameter.ndim > 1]
    vectors = [parameter for parameter in parameters if parameter.ndim <= 1]
    decayed: dict[str, Any] = {"params": matrices, "weight_decay": config.weight_decay}
    undecayed: dict[str, Any] = {"params": vectors, "weight_decay": 0.0}
    rate, momentum = config.peak_learning_rate, config.momentum
    if config.optimizer == "lars":
        return LARS([decayed, undecayed | {"trust": None}], lr=rate, momentum=momentum)
    groups = [decayed, undecayed]
    if config.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=rate, betas=(momentum, 0.999), fused=True)
    return torch.optim.SGD(groups, lr=rate, momentum=momentum, nesterov=True, fused=True)


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """Set the learning rate of all parameter groups."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
