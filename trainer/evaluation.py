"""The evaluation of a model over the ranks' shares of a split."""

from collections.abc import Callable, Iterable

import torch
from torch import nn

from pipeline.decoding import Batch
from trainer.distributed import World
from trainer.tasks import Evaluation, Task

# Outputs and targets of a batch -> float64 (K,).
Sums = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def evaluate(
    batches: Iterable[Batch],
    model: nn.Module,
    world: World,
    task: Task,
    *,
    dtype: torch.dtype | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> Evaluation | None:
    """Score `model`, not its DDP wrapper: ranks may have different numbers of batches.

    Each rank asks `stopped` between batches; None on all ranks once it was true on one, and where
    there is no sample.
    """
    totals = add_up(batches, model, world, task.sums, dtype=dtype, stopped=stopped)
    return task.evaluation(totals) if totals and totals[0] else None


def add_up(
    batches: Iterable[Batch],
    model: nn.Module,
    world: World,
    sums: Sums,
    *,
    dtype: torch.dtype | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> list[float] | None:
    """The totals of `sums` over all batches of all ranks, as ``evaluate`` needs them; None if there
    was no batch, or a rank was stopped."""
    totals: torch.Tensor | None = None
    interrupted = False
    model.eval()
    with torch.inference_mode():
        for batch in batches:
            interrupted = stopped()
            if interrupted:
                break
            with torch.autocast(world.device.type, dtype, enabled=dtype is not None):
                outputs = model(batch.images)
            own = sums(outputs.float(), batch.labels)
            totals = own if totals is None else totals + own
    model.train()
    # A rank that had no batch doesn't know how many totals there are.
    rows = world.gather_rows([(interrupted, None if totals is None else totals.tolist())])
    known = [row for _, row in rows if row is not None]
    if not known or any(stop for stop, _ in rows):
        return None
    return [sum(column) for column in zip(*known, strict=True)]
