"""The task of a run: that of its shards, with the run's class weights and its --monitor."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pipeline.errors import MisuseError
from trainer.config import Settings
from trainer.data import TrainingData, task_of
from trainer.first_checks import check_ends, check_loss
from trainer.tasks.class_weights import class_weights
from trainer.tasks.classification import SCORED_CLASSES
from trainer.tasks.metric_names import METRIC_NAMES
from trainer.tasks.tasks import Task, task_record

# Metrics that not all runs of a task have.
_CONDITIONS = {
    "quadratic_kappa": "needs classes whose names are integers",
    "roc_auc": f"needs at most {SCORED_CLASSES} classes",
}


def task_of_run(data: TrainingData, settings: Settings) -> Task:
    """The task that a run by `settings` trains on `data`.

    Raises ``MisuseError`` for options that do not fit the task, ``DataError`` for a file of weights
    that can't be read.
    """
    task: Any = task_of(data, label_smoothing=settings.recipe.label_smoothing)
    if settings.recipe.class_weights is not None:
        option = settings.recipe.class_weights
        weights = class_weights(option, data.dataset, data.train, settings.pipeline)
        task = replace(task, class_weights=weights)
    task = with_loss(task, settings.recipe.loss)
    monitor = settings.run.monitor or task.primary_metric
    _check_monitor(monitor, task)
    name = data.dataset.manifest.task if data.dataset else "classification"
    check_ends(settings.run, name, has_val=data.has_val)
    return replace(task, primary_metric=monitor)  # type: ignore[no-any-return]


def monitored(metrics: Mapping[str, float], name: str) -> float:
    """The value of the metric `name`; ``MisuseError`` if the samples do not define it."""
    if name not in metrics:
        raise MisuseError(
            f"--monitor {name}: the validation split has no {METRIC_NAMES[name][0]}, because no "
            f"class has samples with and without it: choose one of {', '.join(metrics)}."
        )
    return metrics[name]


def with_loss(task: Any, loss: str) -> Any:
    """The task with the loss of ``--loss``; ``MisuseError`` if it has no such loss."""
    if loss == "auto":
        return task
    check_loss(loss, task_record(task)["task"])
    return replace(task, loss_name=loss)


def _check_monitor(monitor: str, task: Task) -> None:
    if monitor not in task.metrics:
        reason = f" ({monitor} {_CONDITIONS[monitor]})" if monitor in _CONDITIONS else ""
        raise MisuseError(
            f"--monitor {monitor}: shards with {task.describe()} do not have this metric{reason}: "
            f"choose one of {', '.join(task.metrics)}."
        )
