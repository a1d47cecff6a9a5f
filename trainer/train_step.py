"""A training step: from a batch to updated weights."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial, reduce
from typing import Any

import torch
from torch import nn
from torch.amp import GradScaler
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

from trainer.micro_batches import MicroBatches
from trainer.model.ema import ModelEma
from trainer.model.freezing import BackboneFreeze
from trainer.optim.build import set_learning_rate

# Logits in float32 and targets of a batch -> their mean loss, a scalar.
Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def _of_one_rank(gradients: Iterable[torch.Tensor]) -> None:
    """The average over one rank."""


@dataclass(frozen=True, kw_only=True)
class TrainStep:
    """Makes one step per call.

    Attributes:
        model: the model, in DDP if there are several ranks and `micro_batches` is None.
        dtype: autocast type; None for float32.
        accumulate_steps: number of equal micro-batches. The gradient is that of the whole batch,
            but batch norm uses the statistics of each micro-batch.
        micro_batches: finds the number in place of `accumulate_steps`.
        grad_clip_norm: upper limit of the global gradient norm; None for no clipping.
        ema: average of the weights, updated after each step.
        scaler: loss scaler of float16, which skips steps whose gradients overflow and halves the
            scale.
        freeze: trains only the last layer in the first steps; None if all layers are trained from
            the first step.
        average: averages gradients over the ranks in place, in the steps that go around DDP: it
            expects gradients of all parameters, and exchanges them while they are computed.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    loss: Loss = cross_entropy
    dtype: torch.dtype | None = None
    accumulate_steps: int = 1
    micro_batches: MicroBatches | None = None
    grad_clip_norm: float | None = None
    ema: ModelEma[Any] | None = None
    scaler: GradScaler = field(default_factory=lambda: GradScaler(enabled=False))
    freeze: BackboneFreeze | None = None
    average: Callable[[Iterable[torch.Tensor]], None] = _of_one_rank

    def __call__(
        self, images: torch.Tensor, targets: torch.Tensor, learning_rate: float, *, step: int = 0
    ) -> torch.Tensor:
        """Make step number `step` of the run, without waiting for the device.

        Returns the mean loss before the step, a scalar on the device.
        """
        set_learning_rate(self.optimizer, learning_rate)
        is_frozen = self.freeze is not None and self.freeze.apply(step)
        model = self._local_model if is_frozen else self.model
        compute = partial(self._add_gradients, model, images, targets)
        found = self.micro_batches
        loss = found.compute(compute) if found else compute(self.accumulate_steps)
        if not isinstance(model, DistributedDataParallel):
            weights = model.parameters()
            self.average(weight.grad for weight in weights if weight.grad is not None)
        if self.grad_clip_norm is not None:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.model.parameters(), self.grad_clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        if self.ema is not None:
            self.ema.update(step)
        return loss

    @property
    def micro_batch_count(self) -> int:
        """Micro-batches of the last step."""
        return self.micro_batches.count if self.micro_batches else self.accumulate_steps

    def _add_gradients(
        self, model: nn.Module, images: torch.Tensor, targets: torch.Tensor, count: int
    ) -> torch.Tensor:
        """Add the gradients of `count` micro-batches; returns the mean loss. DDP averages over the
        ranks with the last one."""
        chunks = (tensor.chunk(count) for tensor in (images, targets))
        losses = [
            self._add_gradient(model, *part, weight=1 / count, is_last=number == count)
            for number, part in enumerate(zip(*chunks, strict=True), start=1)
        ]
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
