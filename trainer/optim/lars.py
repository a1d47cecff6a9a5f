"""LARS, an optimizer for large batches: each layer's step is proportional to its weights' norm."""

from collections.abc import Iterable
from typing import Any

import torch


class LARS(torch.optim.Optimizer):
    """SGD with momentum; the rate of each layer is multiplied by `trust` * |w| / (|g| + decay |w|)
    (You, Gitman & Ginsburg 2017, arXiv:1708.03888, algorithm 1).

    A step does not synchronize with the device.

    Args:
        trust: the coefficient eta, 0.001 in the paper. With None a parameter group makes plain SGD
            steps, as norms and biases do in MLPerf's reference code.
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
                steps = _apply_trust_ratio(weights, steps, group["weight_decay"], group["trust"])
            velocities = [self._velocity(weight) for weight in weights]
            torch._foreach_mul_(velocities, group["momentum"])
            torch._foreach_add_(velocities, steps, alpha=group["lr"])
            torch._foreach_sub_(weights, velocities)

    def _velocity(self, weight: torch.Tensor) -> torch.Tensor:
        state: dict[str, torch.Tensor] = self.state[weight]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(weight)
        return state["momentum_buffer"]


def _apply_trust_ratio(
    weights: list[torch.Tensor], gradients: list[torch.Tensor], decay: float, trust: float
) -> list[torch.Tensor]:
    """Decayed gradients times each layer's trust ratio, which is 1 if weights or gradient are 0."""
    weight_norms, grad_norms = torch._foreach_norm(weights), torch._foreach_norm(gradients)
    ratios = [
        torch.where((weight > 0) & (grad > 0), trust * weight / (grad + decay * weight), 1.0)
        for weight, grad in zip(weight_norms, grad_norms, strict=True)
    ]
    decayed = torch._foreach_add(gradients, weights, alpha=decay)
    return list(torch._foreach_mul(decayed, ratios))
