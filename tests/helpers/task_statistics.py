"""Statistics and evaluation of outputs, without a model."""

from itertools import pairwise

import numpy as np
import torch

from trainer.tasks.scores import Evaluation, Statistics, merge
from trainer.tasks.tasks import Task, is_labeled


def statistics_of(task: Task, outputs: torch.Tensor, targets: torch.Tensor) -> Statistics:
    """The statistics of the labeled samples of a batch, whose numbers begin at 0."""
    values, counts = task.batch_statistics(outputs, targets)
    kept = is_labeled(targets).numpy()
    return Statistics(
        samples=np.flatnonzero(kept), values=values.numpy()[kept], counts=counts.numpy()
    )


def evaluation_of(
    task: Task, outputs: torch.Tensor, targets: torch.Tensor, *cuts: int
) -> Evaluation:
    """The evaluation of the samples in batches that end at `cuts`."""
    parts = []
    for first, end in pairwise((0, *cuts, len(outputs))):
        part = statistics_of(task, outputs[first:end], targets[first:end])
        moved = part.samples + first
        parts.append(Statistics(samples=moved, values=part.values, counts=part.counts))
    return task.compute(merge(parts[::-1]))
