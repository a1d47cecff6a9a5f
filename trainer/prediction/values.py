"""From outputs of models to probabilities or target values, averaged over models."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from trainer.tasks.classification import Classification
from trainer.tasks.multi_label import MultiLabel
from trainer.tasks.regression import Regression
from trainer.tasks.tasks import Task

Floats = NDArray[np.float64]


def values_of(task: Task, outputs: NDArray[np.float32]) -> Floats:
    """The predictions, float64 (n, K): probabilities of classes that add up to 1
    (classification), the probability of each class (multi-label), or the targets in their units
    (regression). `outputs` are float32 (n, K)."""
    numbers = torch.from_numpy(outputs).double()
    if isinstance(task, Classification):
        numbers = numbers.softmax(1)
    elif isinstance(task, MultiLabel):
        numbers = numbers.sigmoid()
    elif isinstance(task, Regression):
        numbers = numbers * torch.tensor(task.stds).double() + torch.tensor(task.means).double()
    else:
        raise TypeError(f"{type(task).__name__} has no values per image")
    return numbers.numpy()


def average(values: Sequence[Floats]) -> Floats:
    """The mean over models, float64 (n, K)."""
    mean: Floats = np.mean(np.stack(values), axis=0)
    return mean


def logits_of(task: Task, values: Floats) -> NDArray[np.float32]:
    """Logits whose softmax or sigmoid gives the probabilities `values`, float32 (n, K)."""
    tiny = np.finfo(np.float64).tiny
    logarithms = np.log(np.maximum(values, tiny))
    if isinstance(task, MultiLabel):
        logarithms -= np.log(np.maximum(1 - values, tiny))
    return logarithms.astype(np.float32)
