"""The micro-batches of ``--accumulate-steps auto``: halved until a step fits in memory."""

import gc
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import nn

from trainer.distributed.collectives import World
from trainer.out_of_memory import NoSmallerBatchError, is_out_of_memory


def micro_batch_count(batch_size: int, *, largest: int, smallest: int = 1) -> int | None:
    """The smallest number of equal micro-batches of a batch whose size is at most `largest`; None
    if that is below `smallest`."""
    counts = (count for count in range(1, batch_size + 1) if batch_size % count == 0)
    fitting = (count for count in counts if batch_size // count <= largest)
    count = next(fitting, None)
    return None if count is None or batch_size // count < smallest else count


def next_count(batch_size: int, count: int, *, smallest: int = 1) -> int | None:
    """The number of equal micro-batches to try after `count`: the smallest that at least halves
    them, else the largest with `smallest` images each; None if there is no larger one."""
    counts = range(count + 1, batch_size // smallest + 1)
    larger = [number for number in counts if batch_size % number == 0]
    return next((number for number in larger if number >= 2 * count), max(larger, default=None))


@dataclass(kw_only=True)
class MicroBatches:
    """Computes a step in as few micro-batches as have fitted in memory on all ranks so far.

    The attempts at a step start from the same state, so that the last one is the same as if its
    number of micro-batches had been given.

    Attributes:
        model: without DDP: a rank that runs out of memory exchanges nothing in its attempt.
        batch_size: images of this rank in a step; the same on all ranks.
        count: number of micro-batches, which divides `batch_size`.
        smallest: images of the smallest micro-batch on which the model can be trained.
    """

    model: nn.Module
    world: World
    batch_size: int
    count: int = 1
    smallest: int = 1
    _start: "_StartOfStep" = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._start = _StartOfStep(self.model, self.world.device)

    @property
    def size(self) -> int:
        """Images of a micro-batch."""
        return self.batch_size // self.count

    def compute(self, add_gradients: Callable[[int], torch.Tensor]) -> torch.Tensor:
        """Call `add_gradients` with a number of micro-batches, larger ones until no rank runs out
        of memory; returns its loss. All ranks must call this.

        Raises ``NoSmallerBatchError`` on all ranks if no number fits.
        """
        self._start.save()
        while True:
            loss = _loss_if_it_fits(lambda: add_gradients(self.count))
            fits = loss is not None
            # Over the hosts: no rank waits for its GPU.
            if self.world.world_size > 1:
                fits = self.world.all_reduce_max([not fits]) == [0.0]
            if loss is not None and fits:
                return loss
            loss = None
            self._divide()

    def _divide(self) -> None:
        """Undo an attempt, and make the micro-batches smaller."""
        count = next_count(self.batch_size, self.count, smallest=self.smallest)
        if count is None:
            raise NoSmallerBatchError
        self.count = count
        self.model.zero_grad(set_to_none=True)
        self._start.restore()
        gc.collect()
        if self.world.device.type == "cuda":
            torch.cuda.empty_cache()


def _loss_if_it_fits(compute: Callable[[], torch.Tensor]) -> torch.Tensor | None:
    """What `compute` returns; None if memory ended."""
    try:
        return compute()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
    # Only here is the traceback gone, whose frames hold the tensors of the attempt.
    return None


class _StartOfStep:
    """Buffers of a model, such as the statistics of batch norms, and the random numbers of dropout,
    as they were before a step. Memory for the copies is taken once."""

    def __init__(self, model: nn.Module, device: torch.device) -> None:
        self._buffers = list(model.buffers())
        self._copies = [buffer.clone() for buffer in self._buffers]
        self._device = device

    @torch.no_grad()
    def save(self) -> None:
        if self._buffers:
            torch._foreach_copy_(self._copies, self._buffers)
        self._random = torch.get_rng_state()
        if self._device.type == "cuda":
            self._random_on_gpu = torch.cuda.get_rng_state(self._device)

    @torch.no_grad()
    def restore(self) -> None:
        if self._buffers:
            torch._foreach_copy_(self._buffers, self._copies)
        torch.set_rng_state(self._random)
        if self._device.type == "cuda":
            torch.cuda.set_rng_state(self._random_on_gpu, self._device)
