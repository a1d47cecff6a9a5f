"""The evaluation of a model over the ranks' shares of a split."""

import dataclasses
from collections.abc import Callable, Iterable

import torch
from torch import nn

from pipeline.batches import Batch
from trainer.distributed.collectives import World
from trainer.tasks.scores import Evaluation
from trainer.tasks.segmentation import Segmentation
from trainer.tasks.tasks import Task

# Outputs and targets of a batch -> float64 (K,).
Sums = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def evaluate(
    batches: Iterable[Batch],
    model: nn.Module,
    world: World,
    task: Task,
    *,
    dtype: torch.dtype | None = None,
    flips: bool = False,
    stopped: Callable[[], bool] = lambda: False,
) -> Evaluation | None:
    """Score `model`, not its DDP wrapper: ranks may have different numbers of batches.

    Ranks ask `stopped` before each batch; None on all ranks once it was true on one, and where
    there is no sample. With `flips` the metric that the task is best by is there a second time, for
    the means of what the model says of each image and of its mirror image.
    """
    scored, sums = scoring(model, task, flips=flips)
    totals = add_up(batches, scored, world, sums, dtype=dtype, stopped=stopped)
    return evaluation_of(totals, task, flips=flips)


def scoring(model: nn.Module, task: Task, *, flips: bool) -> tuple[nn.Module, Sums]:
    """What ``add_up`` runs and counts, for ``evaluation_of`` to read."""
    if isinstance(task, Segmentation):
        model = ImageByImage(model)
    return (FlipTta(model), _of_halves(task.sums)) if flips else (model, task.sums)


def evaluation_of(totals: list[float] | None, task: Task, *, flips: bool) -> Evaluation | None:
    """What the totals say; None where there is no sample."""
    if not totals or not totals[0]:
        return None
    if not flips:
        return task.evaluation(totals)
    half = len(totals) // 2
    plain, flipped = task.evaluation(totals[:half]), task.evaluation(totals[half:])
    named = {f"{task.best_by}_with_flips": flipped.metrics[task.best_by]}
    return dataclasses.replace(plain, metrics={**plain.metrics, **named})


class ImageByImage(nn.Module):
    """What `model` gives for each image alone. In a batch the last bits depend on how many images
    are beside it, and among millions of pixels that turns one's class: ranks, whose batches are
    smaller, would count others."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.model(image) for image in images.chunk(len(images))])


class FlipTta(nn.Module):
    """(B, 3, H, W) -> (B, 2 K): the K outputs of `model`, and their means over images and mirror
    images; (B, 2 K, H, W) where each pixel has its own."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        outputs, mirrored = self.model(images), self.model(images.flip(3))
        if mirrored.ndim == 4:
            mirrored = mirrored.flip(3)
        return torch.cat([outputs, (outputs + mirrored) / 2], dim=1)


def _of_halves(sums: Sums) -> Sums:
    def of_both(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return torch.cat([sums(half, targets) for half in outputs.chunk(2, dim=1)])

    return of_both


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
    coming = iter(batches)
    model.eval()
    with torch.inference_mode():
        while True:
            batch = next(coming, None)
            # Ranks that had all of theirs go on asking, so that one stopped stops the others.
            interrupted, goes_on = world.all_reduce_max([stopped(), batch is not None])
            if interrupted or not goes_on:
                break
            if batch is None:
                continue
            with torch.autocast(world.device.type, dtype, enabled=dtype is not None):
                outputs = model(batch.images)
            own = sums(outputs.float(), batch.targets)
            totals = own if totals is None else totals + own
    model.train()
    # A rank that had no batch doesn't know how many totals there are.
    rows = world.all_gather_objects([None if totals is None else totals.tolist()])
    known = [row for row in rows if row is not None]
    if interrupted or not known:
        return None
    return [sum(column) for column in zip(*known, strict=True)]
