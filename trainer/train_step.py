"""A training step: from a batch to updated weights."""

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
from trainer.model.freezing import BackboneFreeze
from trainer.optim.build import set_learning_rate

# Logits in float32 and targets of a batch -> their mean loss, a scalar.
Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class TrainStep:
    """Makes one step per call.

    Attributes:
        model: the model, in DDP if there are several ranks.
        dtype: autocast type; None for float32.
        accumulate_steps: number of equal micro-batches. The gradient is that of the whole batch,
            but batch norm uses the statistics of each micro-batch.
        grad_clip_norm: upper limit of the global gradient norm; None for no clipping.
        ema: average of the weights, updated after each step.
        scaler: loss scaler of float16, which skips steps whose gradients overflow and halves the
            scale.
        freeze: trains only the last layer in the first steps; None if all layers are trained from
            the first step.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    loss: Loss = cross_entropy
    dtype: torch.dtype | None = None
    accumulate_steps: int = 1
    grad_clip_norm: float | None = None
    ema: ModelEma[Any] | None = None
    scaler: GradScaler = field(default_factory=lambda: GradScaler(enabled=False))
    freeze: BackboneFreeze | None = None

    def __call__(
        self, images: torch.Tensor, targets: torch.Tensor, learning_rate: float, *, step: int = 0
    ) -> torch.Tensor:
        """Make step number `step` of the run, without waiting for the device.

        Returns the mean loss before the step, a scalar on the device.
        """
        set_learning_rate(self.optimizer, learning_rate)
        freeze = self.freeze if self.freeze and self.freeze.apply(step) else None
        model = self._local_model if freeze else self.model
        chunks = (tensor.chunk(self.accumulate_steps) for tensor in (images, targets))
        microbatches = list(zip(*chunks, strict=True))
        count = len(microbatches)
        losses = [
            self._add_gradient(model, *microbatch, weight=1 / count, is_last=number == count)
            for number, microbatch in enumerate(microbatches, start=1)
        ]
        if freeze:
            freeze.average_gradients()
        if self.grad_clip_norm is not None:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.model.parameters(), self.grad_clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        if self.ema is not None:
            self.ema.update(step)
        return reduce(torch.add, losses)

    def _add_gradient(
        self,
        model: nn.Module,
        images: torch.Tensor,
        targets: torch.Tensor,
        *,
        weight: float,
        is_last: bool,
    ) -> torch.Tensor:
        """Add the gradient of a micro-batch; DDP averages over the ranks with the last one."""
        with nullcontext() if is_last else self._no_sync():
            with torch.autocast(images.device.type, self.dtype, enabled=self.dtype is not None):
                logits = model(images)
            loss = self.loss(logits.float(), targets) * weight
            self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    @property
    def _local_model(self) -> nn.Module:
        """The model without DDP."""
        is_parallel = isinstance(self.model, DistributedDataParallel)
        return self.model.get_submodule("module") if is_parallel else self.model

    def _no_sync(self) -> AbstractContextManager[None]:
        """Context without an exchange of gradients between ranks."""
        if isinstance(self.model, DistributedDataParallel):
            return self.model.no_sync()
        return nullcontext()
