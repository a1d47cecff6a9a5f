"""How a batch changes the weights."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import torch
from torch import nn
from torch.amp import GradScaler
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

from trainer.model.ema import ModelEma
from trainer.optim.build import set_learning_rate

# Logits in float32 and targets of a batch -> their mean loss, a scalar.
Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class TrainStep:
    """One call is one step.

    Attributes:
        model: DDP or what it wraps.
        dtype: autocast's; None for float32.
        accumulate_steps: microbatches of equal size that a batch is computed in; the step is that
            of the whole batch, but that batch norm sees each microbatch alone.
        grad_clip_norm: length that the gradient over all weights is cut to.
        averaged: follows the weights.
        scaler: float16's; a step whose gradients overflow is left out, and the scale halved. With
            LARS it waits for the device.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    loss: Loss = cross_entropy
    dtype: torch.dtype | None = None
    accumulate_steps: int = 1
    grad_clip_norm: float | None = None
    averaged: ModelEma[Any] | None = None
    scaler: GradScaler = field(default_factory=lambda: GradScaler(enabled=False))

    def __call__(
        self, images: torch.Tensor, targets: torch.Tensor, learning_rate: float, *, step: int = 0
    ) -> torch.Tensor:
        """The mean loss before the step, the run's `step`-th, a scalar on the device; nothing waits
        for it."""
        set_learning_rate(self.optimizer, learning_rate)
        parts = list(
            zip(
                images.chunk(self.accumulate_steps),
                targets.chunk(self.accumulate_steps),
                strict=True,
            )
        )
        losses = [
            self._add_gradient(part, share=1 / len(parts), last=number == len(parts))
            for number, part in enumerate(parts, start=1)
        ]
        if self.grad_clip_norm is not None:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.model.parameters(), self.grad_clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        if self.averaged is not None:
            self.averaged.update(step)
        return reduce(torch.add, losses)

    def _add_gradient(
        self, part: tuple[torch.Tensor, torch.Tensor], *, share: float, last: bool
    ) -> torch.Tensor:
        images, targets = part
        with nullcontext() if last else self._apart():
            with torch.autocast(images.device.type, self.dtype, enabled=self.dtype is not None):
                logits = self.model(images)
            loss = self.loss(logits.float(), targets) * share
            self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def _apart(self) -> AbstractContextManager[None]:
        """Ranks exchange gradients once a step, with its last part."""
        if isinstance(self.model, DistributedDataParallel):
            return self.model.no_sync()
        return nullcontext()
