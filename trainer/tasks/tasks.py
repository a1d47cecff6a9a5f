"""The tasks of tools/shard: number of outputs, loss and metrics.

An evaluation collects ``Task.batch_statistics`` of all batches: values of each sample, which rank 0
gathers and puts in the order of the samples, and integer counts, which it sums. ``Task.compute``
therefore gets the same arrays at any number of ranks, and gives bit-equal metrics if the outputs
are equal.
"""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Protocol

import torch

from pipeline.storage.manifest import VOID
from trainer.tasks.classification import Classification
from trainer.tasks.formulas import Float64s
from trainer.tasks.multi_label import MultiLabel
from trainer.tasks.regression import Regression
from trainer.tasks.scores import Answer, Evaluation, Statistics
from trainer.tasks.segmentation import Segmentation

# Field -> its key in config.json, where earlier versions had another name.
RECORD_KEYS = {"primary_metric": "best_by", "stds": "deviations"}


class Task(Protocol):
    """Target of a training.

    `outputs`, float32, are the model's: (B, `outputs`), or (B, `outputs`, H, W) for one prediction
    per pixel. Targets are ``pipeline.Batch.targets``.
    """

    @property
    def outputs(self) -> int:
        """Number of outputs of the model's head."""

    @property
    def primary_metric(self) -> str:
        """The metric whose best value selects the best checkpoint, one of `metrics`."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that ``compute`` gives, and "loss"."""

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The training loss: a float32 scalar, the mean over the batch."""

    def batch_statistics(
        self, outputs: torch.Tensor, targets: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Values of each sample, float32 (B, V), without a meaning for unlabeled samples, and
        counts, int64 (C,), of the labeled ones; see ``Statistics``."""

    def compute(self, statistics: Statistics) -> Evaluation:
        """Metrics from the statistics of all samples, at least one."""

    def losses(self, statistics: Statistics) -> Float64s:
        """The loss of each sample, float64 (N,), without class weights."""

    def answers(self, statistics: Statistics) -> list[Answer]:
        """Target and prediction of each sample; segmentation has only the loss here."""

    def describe(self) -> str:
        """The targets in words, such as "10 classes"."""


TASKS: Mapping[str, Any] = {
    "classification": Classification,
    "multi-label": MultiLabel,
    "regression": Regression,
    "segmentation": Segmentation,
}


def task_record(task: Task) -> dict[str, Any]:
    """Plain data from which ``task_from_record`` rebuilds the task."""
    (name,) = (name for name, kind in TASKS.items() if isinstance(task, kind))
    keys = {field.name: RECORD_KEYS.get(field.name, field.name) for field in fields(TASKS[name])}
    return {"task": name, **{key: getattr(task, field) for field, key in keys.items()}}


def task_from_record(record: Mapping[str, Any]) -> Task:
    """The task of a ``task_record``. Raises ``KeyError`` or ``TypeError`` for other data."""
    field_names = {key: field for field, key in RECORD_KEYS.items()}
    values: dict[str, Any] = {
        field_names.get(key, key): tuple(value) if isinstance(value, list) else value
        for key, value in record.items()
    }
    task: Task = TASKS[values.pop("task")](**values)
    return task


def is_labeled(targets: torch.Tensor) -> torch.Tensor:
    """bool (B,): which samples have a target, of any task."""
    if targets.is_floating_point():
        return ~targets.isnan().any(1)
    if targets.ndim == 1:
        return targets >= 0
    return (targets != VOID).flatten(1).any(1)
