"""Multi-label classification: any number of classes per image."""

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from trainer.tasks.constants import optional_constant
from trainer.tasks.formulas import (
    average_precision,
    f1_scores,
    mean_of_defined,
    named,
    roc_auc,
    threshold_counts,
)
from trainer.tasks.losses import binary_focal_losses
from trainer.tasks.metric_names import TASK_METRICS
from trainer.tasks.scores import Evaluation, Statistics


@dataclass(frozen=True, kw_only=True)
class MultiLabel:
    """Any number of classes per image. Targets: float32 (B, classes), 1 for a class in the image; a
    row of NaN does not count.

    Attributes:
        class_weights: factor of each class in the training loss of the images that have it; None
            for 1.
        loss_name: the training loss, one of ``LOSSES``.
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
        """Average precision and ROC AUC of each class that has both values, F1 of the probabilities
        above 0.5 of each class that occurs in targets or predictions, and their means."""
        outputs, targets = np.split(statistics.values, 2, axis=1)
        positive, predicted = targets > 0.5, outputs > 0
        logits = outputs.astype(np.float64)
        # Binary cross entropy, as in torch: log(1 + exp(x)) - x if the class is in the image.
        loss = float((np.logaddexp(0, logits) - logits * positive).mean())
        counts = [
            threshold_counts(outputs[:, column], positive[:, column])
            for column in range(self.outputs)
        ]
        precision = np.array([average_precision(*pair) for pair in counts])
        auc = np.array([roc_auc(*pair) for pair in counts])
        f1 = f1_scores((positive & predicted).sum(0), positive.sum(0), predicted.sum(0))
        metrics = {
            "mean_average_precision": mean_of_defined(precision),
            "macro_f1": mean_of_defined(f1),
        }
        if not np.isnan(auc).all():
            metrics["roc_auc"] = mean_of_defined(auc)
        return Evaluation(
            samples=len(outputs),
            loss=loss,
            metrics={**metrics, "log_loss": loss},
            by_name=named(self.classes, precision),
            more_by_name={"f1": named(self.classes, f1), "roc_auc": named(self.classes, auc)},
        )

    def describe(self) -> str:
        return f"{len(self.classes)} classes, several per image"
