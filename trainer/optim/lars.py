"""LARS, which lets large batches train: each layer's step is in proportion to its weights."""

from collections.abc import Iterable
from typing import Any

import torch


class LARS(torch.optim.Optimizer):
    """SGD with momentum whose rate is scaled, layer by layer, by `trust` * |w| / (|g| + decay |w|)
    (You, Gitman & Ginsburg 2017, arXiv:1708.03888, algorithm 1).

    Nothing here waits for the device.

    Args:
        trust: the coefficient eta, 0.001 in the paper; a group may say None, for the plain steps
            that norms and biases are given in MLPerf's code.
    """

    def __init__(
        self,
        groups: Iterable[dict[str, Any]],
        *,
        lr: float,
        momentum: float,
        weight_decay: float = 0.0,
        trust: float | None = 0.001,
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "trust": trust}
        super().__init__(groups, defaults)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if not weights:
                continue
            steps = [weight.grad for weight in weights]
            if group["trust"] is not None:
                steps = _in_proportion(weights, steps, group["weight_decay"], group["trust"])
            velocities = [self._velocity(weight) for weight in weights]
            torch._foreach_mul_(velocities, group["momentum"])
            torch._foreach_add_(velocities, steps, alpha=group["lr"])
            torch._foreach_sub_(weights, velocities)

    def _velocity(self, weight: torch.Tensor) -> torch.Tensor:
        state: dict[str, torch.Tensor] = self.state[weight]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(weight)
        return state["momentum_buffer"]


def _in_proportion(
    weights: list[torch.Tensor], gradients: list[torch.Tensor], decay: float, trust: float
) -> list[torch.Tensor]:
    """Decayed gradients times the layers' local rates, 1 where weights or gradient are all 0."""
    lengths, slopes = torch._foreach_norm(weights), torch._foreach_norm(gradients)
    rates = [
        torch.where((length > 0) & (slope > 0), trust * length / (slope + decay * length), 1.0)
        for length, slope in zip(lengths, slopes, strict=True)
    ]
    decayed = torch._foreach_add(gradients, weights, alpha=decay)
    return list(torch._foreach_mul(decayed, rates))
