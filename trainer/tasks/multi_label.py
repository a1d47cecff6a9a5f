"""Multi-label classification: any number of classes per image."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import binary_cross_entropy_with_logits

from trainer.tasks.constants import optional_constant
from trainer.tasks.formulas import (
    ClassScores,
    Float64s,
    average_precision,
    mean_of_defined,
    named,
    roc_auc,
    threshold_counts,
)
from trainer.tasks.losses import binary_focal_losses
from trainer.tasks.metric_names import TASK_METRICS
from trainer.tasks.scores import Answer, Evaluation, Statistics


@dataclass(frozen=True, kw_only=True)
class MultiLabel:
    """Any number of classes per image. Targets: float32 (B, classes), 1 for a class in the image; a
    row of NaN does not count.

    Attributes:
        class_weights: factor of each class in the training loss of the images that have it; None
            for 1.
        loss_name: the training loss, one of ``TASK_LOSSES``.
    """

    classes: tuple[str, ...]
    primary_metric: str = "mean_average_precision"
    class_weights: tuple[float, ...] | None = None
    loss_name: str = "bce"

    @property
    def outputs(self) -> int:
        return len(self.classes)

    @property
    def metrics(self) -> tuple[str, ...]:
        return TASK_METRICS["multi-label"]

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        weights = optional_constant(self.class_weights, outputs.device)
        if self.loss_name == "focal":
            return binary_focal_losses(outputs, targets, weights).mean()
        return binary_cross_entropy_with_logits(outputs, targets, pos_weight=weights)

    def batch_statistics(
        self, outputs: torch.Tensor, targets: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Values: the outputs, then the targets. Rank 0 keeps 8 bytes for each class and sample."""
        return torch.cat([outputs, targets], dim=1), outputs.new_zeros(0, dtype=torch.int64)

    def compute(self, statistics: Statistics) -> Evaluation:
        """Average precision and ROC AUC of each class that has both values; precision, recall and
        F1 of the probabilities above 0.5, see ``ClassScores``; and their means."""
        outputs, targets = np.split(statistics.values, 2, axis=1)
        positive, predicted = targets > 0.5, outputs > 0
        loss = float(_class_losses(statistics).mean())
        counts = [
            threshold_counts(outputs[:, column], positive[:, column])
            for column in range(self.outputs)
        ]
        precision = np.array([average_precision(*pair) for pair in counts])
        auc = np.array([roc_auc(*pair) for pair in counts])
        true = positive.sum(0)
        scores = ClassScores.from_counts((positive & predicted).sum(0), true, predicted.sum(0))
        metrics = {
            "mean_average_precision": mean_of_defined(precision),
            "macro_f1": mean_of_defined(scores.f1),
            "macro_precision": scores.macro_precision,
            "macro_recall": mean_of_defined(scores.recall),
        }
        if not np.isnan(auc).all():
            metrics["roc_auc"] = mean_of_defined(auc)
        return Evaluation(
            samples=len(outputs),
            loss=loss,
            metrics={**metrics, "log_loss": loss},
            main_column="average_precision",
            by_name=named(self.classes, precision),
            more_by_name={
                "samples": named(self.classes, true),
                "precision": named(self.classes, scores.precision),
                "recall": named(self.classes, scores.recall),
                "f1": named(self.classes, scores.f1),
                "roc_auc": named(self.classes, auc),
            },
        )

    def losses(self, statistics: Statistics) -> Float64s:
        return np.asarray(_class_losses(statistics).mean(axis=1))

    def answers(self, statistics: Statistics) -> list[Answer]:
        """The classes of the image, and those with a probability above 0.5."""
        outputs, targets = np.split(statistics.values, 2, axis=1)
        losses = _class_losses(statistics)
        worst = losses.argmax(axis=1)
        logits = outputs[np.arange(len(outputs)), worst].astype(np.float64)
        return [
            Answer(
                loss=float(row.mean()),
                true=self._text(target > 0.5),
                predicted=self._text(output > 0),
                tag=self.classes[number],
                probability=float(np.exp(-np.logaddexp(0, -logit))),
            )
            for row, target, output, number, logit in zip(
                losses, targets, outputs, worst.tolist(), logits, strict=True
            )
        ]

    def _text(self, has: NDArray[np.bool_]) -> str:
        return ", ".join(self.classes[number] for number in np.flatnonzero(has).tolist())

    def describe(self) -> str:
        return f"{len(self.classes)} classes, several per image"


def _class_losses(statistics: Statistics) -> Float64s:
    """Binary cross entropy of each sample and class, float64 (N, classes), as in torch: log(1 +
    exp(x)) - x if the class is in the image."""
    outputs, targets = np.split(statistics.values, 2, axis=1)
    logits = outputs.astype(np.float64)
    return np.asarray(np.logaddexp(0, logits) - logits * (targets > 0.5))
