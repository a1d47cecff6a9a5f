"""Evaluation of a model, with a split shared by all ranks."""

import dataclasses
from collections.abc import Callable, Iterable
from functools import partial

import torch
from torch import nn

from pipeline.batches import Batch
from trainer.distributed.collectives import World
from trainer.tasks.scores import Evaluation
from trainer.tasks.segmentation import Segmentation
from trainer.tasks.tasks import Task

# Images of a batch -> outputs of the model.
Predict = Callable[[torch.Tensor], torch.Tensor]
# Outputs and targets of a batch -> float64 (K,).
BatchStatistics = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


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
        flips: whether to add the primary metric of predictions averaged over each image and its
            horizontal flip, as "<metric>_with_flips".
        stopped: called before each batch; if True on any rank, all ranks return None.

    Returns None also if there is no labeled sample.
    """
    predict, statistics = with_tta(model, task, flips=flips)
    model.eval()
    totals = reduce_over_ranks(batches, predict, world, statistics, dtype=dtype, stopped=stopped)
    model.train()
    if not totals or not totals[0]:
        return None
    if not flips:
        return task.compute(totals)
    half, name = len(totals) // 2, task.primary_metric
    plain, flipped = task.compute(totals[:half]), task.compute(totals[half:])
    metrics = {**plain.metrics, f"{name}_with_flips": flipped.metrics[name]}
    return dataclasses.replace(plain, metrics=metrics)


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
    outputs, mirrored = predict(images), predict(images.flip(3))
    if mirrored.ndim == 4:
        mirrored = mirrored.flip(3)
    return torch.cat([outputs, (outputs + mirrored) / 2], dim=1)


def _both_halves(
    statistics: BatchStatistics, outputs: torch.Tensor, targets: torch.Tensor
) -> torch.Tensor:
    """The statistics of both halves of the outputs of ``_with_flip``."""
    return torch.cat([statistics(half, targets) for half in outputs.chunk(2, dim=1)])


def reduce_over_ranks(
    batches: Iterable[Batch],
    predict: Predict,
    world: World,
    statistics: BatchStatistics,
    *,
    dtype: torch.dtype | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> list[float] | None:
    """Sum `statistics` over all batches of all ranks; arguments are those of ``evaluate``.

    Returns None if there was no batch, or a rank was stopped.
    """
    totals: torch.Tensor | None = None
    iterator = iter(batches)
    with torch.inference_mode():
        while True:
            batch = next(iterator, None)
            # Ranks without a further batch keep calling this, so that all of them see a stop.
            interrupted, has_batch = world.all_reduce_max([stopped(), batch is not None])
            if interrupted or not has_batch:
                break
            if batch is None:
                continue
            with torch.autocast(world.device.type, dtype, enabled=dtype is not None):
                outputs = predict(batch.images)
            batch_totals = statistics(outputs.float(), batch.targets)
            totals = batch_totals if totals is None else totals + batch_totals
    # Objects, since a rank without a batch does not know the number of totals.
    rows = world.all_gather_objects([] if totals is None else [totals.tolist()])
    if interrupted or not rows:
        return None
    return [sum(column) for column in zip(*rows, strict=True)]
