"""Evaluation of a model, with a split shared by all ranks."""

import dataclasses
from collections.abc import Callable, Iterable
from functools import partial

import numpy as np
import torch
from torch import nn

from pipeline.arrays import Integers
from pipeline.batch import Batch
from trainer.distributed.collectives import World
from trainer.model.flips import mirrored
from trainer.tasks.metric_names import FLIPS
from trainer.tasks.scores import Evaluation, Statistics, merge
from trainer.tasks.segmentation import Segmentation
from trainer.tasks.tasks import Task, is_labeled

# Images of a batch -> outputs of the model.
Predict = Callable[[torch.Tensor], torch.Tensor]
# ``Task.batch_statistics``.
BatchStatistics = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


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
    """Evaluate `model` on the batches of all ranks, which may differ in number.

    Args:
        model: the model, without DDP.
        dtype: autocast type; None for float32.
        flips: whether to add the metrics of predictions averaged over each image and its horizontal
            flip, as "<metric>_with_flips".
        stopped: called before each batch; if True on any rank, all ranks return None.

    Returns None also if there is no labeled sample.
    """
    everything = gathered_statistics(
        batches, model, world, task, dtype=dtype, flips=flips, stopped=stopped
    )
    evaluation = None
    if everything is not None and len(everything.samples):
        evaluation = compute(task, everything, flips=flips)
    return world.broadcast(evaluation)


def gathered_statistics(
    batches: Iterable[Batch],
    model: nn.Module,
    world: World,
    task: Task,
    *,
    dtype: torch.dtype | None = None,
    flips: bool = False,
    stopped: Callable[[], bool] = lambda: False,
) -> Statistics | None:
    """The statistics of the samples of all ranks on rank 0, for ``compute``; arguments are those of
    ``evaluate``. None on the other ranks, and if a rank was stopped."""
    predict, statistics = with_tta(model, task, flips=flips)
    model.eval()
    own = collect(batches, predict, world, statistics, dtype=dtype, stopped=stopped)
    model.train()
    return None if own is None else gather(own, world)


def compute(task: Task, statistics: Statistics, *, flips: bool = False) -> Evaluation:
    """The evaluation of statistics of ``with_tta``, which may be ``merge``d from several runs."""
    if not flips:
        return task.compute(statistics)
    plain, flipped = map(task.compute, statistics.halves())
    with_flips = {name + FLIPS: value for name, value in flipped.metrics.items()}
    return dataclasses.replace(plain, metrics={**plain.metrics, **with_flips})


def with_tta(model: nn.Module, task: Task, *, flips: bool) -> tuple[Predict, BatchStatistics]:
    """The predictions of `model` and their statistics; with `flips` both are made twice, the second
    time with test-time augmentation."""
    predict: Predict = model
    if isinstance(task, Segmentation):
        predict = partial(_one_by_one, model)
    if not flips:
        return predict, task.batch_statistics
    return partial(_with_flip, predict), partial(_both_halves, task.batch_statistics)


def _one_by_one(predict: Predict, images: torch.Tensor) -> torch.Tensor:
    """Predict one image at a time.

    In a batch the last bits of an output depend on the batch size, which can change the class of
    one pixel in millions; ranks have smaller batches and would get other counts.
    """
    return torch.cat([predict(image) for image in images.chunk(len(images))])


def _with_flip(predict: Predict, images: torch.Tensor) -> torch.Tensor:
    """(B, 3, H, W) -> (B, 2 K) or (B, 2 K, H, W): the K outputs, then their means over each image
    and its horizontal flip."""
    outputs = predict(images)
    return torch.cat([outputs, (outputs + mirrored(predict, images)) / 2], dim=1)


def _both_halves(
    statistics: BatchStatistics, outputs: torch.Tensor, targets: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The statistics of both halves of the outputs of ``_with_flip``."""
    first, second = (statistics(half, targets) for half in outputs.chunk(2, dim=1))
    return torch.cat([first[0], second[0]], dim=1), torch.cat([first[1], second[1]])


def collect(
    batches: Iterable[Batch],
    predict: Predict,
    world: World,
    statistics: BatchStatistics,
    *,
    dtype: torch.dtype | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> Statistics | None:
    """The statistics of this rank's labeled samples; arguments are those of ``evaluate``. They stay
    on the device until the end, so that no batch waits for it.

    All ranks must call this. Returns None if a rank was stopped.
    """
    samples: list[Integers] = []
    labeled: list[torch.Tensor] = []
    values: list[torch.Tensor] = []
    counts: torch.Tensor | None = None
    iterator = iter(batches)
    with torch.inference_mode():
        while True:
            batch = next(iterator, None)
            # Ranks without a further batch keep calling this, so that all of them see a stop.
            interrupted, has_batch = world.all_reduce_max([stopped(), batch is not None])
            if interrupted:
                return None
            if not has_batch:
                break
            if batch is None:
                continue
            with torch.autocast(world.device.type, dtype, enabled=dtype is not None):
                outputs = predict(batch.images)
            batch_values, batch_counts = statistics(outputs.float(), batch.targets)
            counts = batch_counts if counts is None else counts + batch_counts
            samples.append(batch.samples)
            labeled.append(is_labeled(batch.targets))
            values.append(batch_values)
    if counts is None:
        empty = np.zeros(0, np.int64)
        return Statistics(samples=empty, values=np.zeros((0, 0), np.float32), counts=empty)
    kept = torch.cat(labeled).cpu().numpy()
    return Statistics(
        samples=np.concatenate(samples)[kept],
        values=torch.cat(values).cpu().numpy()[kept],
        counts=counts.cpu().numpy(),
    )


def gather(own: Statistics, world: World) -> Statistics | None:
    """The statistics of all ranks on rank 0, None on the others."""
    fields = (own.samples[:, None], own.values, own.counts[None])
    gathered = [world.gather_rows(torch.from_numpy(rows)) for rows in fields]
    parts = [
        Statistics(samples=samples[:, 0].numpy(), values=values.numpy(), counts=counts[0].numpy())
        for samples, values, counts in zip(*gathered, strict=True)
    ]
    return merge(parts) if parts else None
