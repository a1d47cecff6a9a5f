"""LARS, an optimizer for large batches: each layer's step is proportional to its weights' norm."""

from collections.abc import Iterable
from typing import Any

import torch


class LARS(torch.optim.Optimizer):
    """SGD with momentum; the rate of each layer is multiplied by `trust` * |w| / (|g| + decay |w|)
    (You, Gitman & Ginsburg 2017, arXiv:1708.03888, algorithm 1).

    A step does not synchronize with the device. With a loss scaler it undoes the scale itself and,
    where a gradient overflowed, changes neither weights nor momenta.

    Args:
        trust: the coefficient eta, 0.001 in the paper. With None a parameter group makes plain SGD
            steps, as norms and biases do in MLPerf's reference code.
    """

    # The scaler sets `grad_scale` (None if the gradients are unscaled) and `found_inf` (not 0 after
    # an overflow) before a step. Without this attribute it would wait for the device and decide.
    _step_supports_amp_scaling = True

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
        grad_scale = getattr(self, "grad_scale", None)
        found_inf = getattr(self, "found_inf", None)
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if not weights:
                continue
            steps = _unscaled([weight.grad for weight in weights], grad_scale, found_inf)
            if group["trust"] is not None:
                steps = _apply_trust_ratio(weights, steps, group["weight_decay"], group["trust"])
            velocities = [self._velocity(weight) for weight in weights]
            if found_inf is None:
                torch._foreach_mul_(velocities, group["momentum"])
                torch._foreach_add_(velocities, steps, alpha=group["lr"])
                torch._foreach_sub_(weights, velocities)
            else:
                _step_unless(found_inf, weights, velocities, steps, group)

    def _velocity(self, weight: torch.Tensor) -> torch.Tensor:
        state: dict[str, torch.Tensor] = self.state[weight]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(weight)
        return state["momentum_buffer"]


def _unscaled(
    gradients: list[torch.Tensor], grad_scale: torch.Tensor | None, found_inf: torch.Tensor | None
) -> list[torch.Tensor]:
    """`gradients` without the loss scale, all 0 after an overflow; unchanged without a scaler."""
    if found_inf is None:
        return gradients
    finite = [torch.where(found_inf > 0, 0.0, gradient) for gradient in gradients]
    if grad_scale is None:
        return finite
    return list(torch._foreach_mul(finite, grad_scale.reciprocal()))


def _step_unless(
    overflow: torch.Tensor,
    weights: list[torch.Tensor],
    velocities: list[torch.Tensor],
    steps: list[torch.Tensor],
    group: dict[str, Any],
) -> None:
    """The step of ``LARS.step``, or none where `overflow` is not 0, decided on the device."""
    kept = (overflow == 0).float()
    torch._foreach_mul_(velocities, torch.where(overflow > 0, 1.0, group["momentum"]))
    torch._foreach_add_(velocities, list(torch._foreach_mul(steps, kept)), alpha=group["lr"])
    torch._foreach_sub_(weights, list(torch._foreach_mul(velocities, kept)))


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
