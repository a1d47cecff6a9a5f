"""Classification: one class per image."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy

from trainer.tasks.constants import constant, optional_constant
from trainer.tasks.formulas import (
    ClassScores,
    Float64s,
    log_softmax,
    mean_of_defined,
    named,
    quadratic_kappa,
    roc_auc,
    threshold_counts,
)
from trainer.tasks.losses import binary_losses, focal_losses, fractions
from trainer.tasks.metric_names import TASK_METRICS
from trainer.tasks.scores import Answer, Evaluation, Statistics

# Most classes with a ROC AUC, which needs the outputs of all samples: rank 0 keeps 4 bytes for each
# class and sample.
SCORED_CLASSES = 200
# Most classes with a confusion matrix: 32 MB.
CONFUSION_CLASSES = 2000

# Values of a sample before its outputs: loss, class, predicted class, whether the class is in the
# top 5, and the probability of the predicted class.
_VALUES = 5
# Of top-5.
TOP_CLASSES = 5


@dataclass(frozen=True, kw_only=True)
class Classification:
    """One class per image. Targets: int64 (B,), -1 does not count; in training also float32
    (B, classes), the fraction of each class in a mixed image.

    Attributes:
        class_weights: factor of each class in the training loss; None for 1.
        loss_name: the training loss, one of ``TASK_LOSSES``.
    """

    classes: tuple[str, ...]
    label_smoothing: float = 0.0
    loss_name: str = "cross-entropy"
    primary_metric: str = "top1"
    class_weights: tuple[float, ...] | None = None

    @property
    def outputs(self) -> int:
        return len(self.classes)

    @property
    def metrics(self) -> tuple[str, ...]:
        missing = set() if self._numbers is not None else {"quadratic_kappa"}
        if self.outputs > SCORED_CLASSES:
            missing.add("roc_auc")
        return tuple(name for name in TASK_METRICS["classification"] if name not in missing)

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The mean over the images of their weighted losses: unlike torch's mean it does not divide
        by the weights in the batch, which differ between ranks."""
        if self.loss_name != "cross-entropy":
            losses_of = focal_losses if self.loss_name == "focal" else binary_losses
            shares = fractions(targets, self.outputs, self.label_smoothing)
            factors = optional_constant(self.class_weights, outputs.device)
            return losses_of(outputs, shares, factors).mean()
        if self.class_weights is None:
            return cross_entropy(outputs, targets, label_smoothing=self.label_smoothing)
        weights = constant(self.class_weights, outputs.device)
        smoothing = self.label_smoothing
        losses = cross_entropy(
            outputs, targets, weights, reduction="none", label_smoothing=smoothing
        )
        return losses.mean()

    def batch_statistics(
        self, outputs: torch.Tensor, targets: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Values: loss, class, predicted class, whether the class is among the 5 highest outputs
        (with fewer classes always 1) and the probability of the predicted class; then the outputs
        of up to SCORED_CLASSES classes."""
        best = outputs.topk(min(TOP_CLASSES, outputs.shape[1]), dim=1).indices
        losses = cross_entropy(outputs, targets, ignore_index=-1, reduction="none")
        hits = (best == targets[:, None]).any(1)
        columns = [losses, targets.float(), best[:, 0].float(), hits.float()]
        values = torch.stack([*columns, outputs.softmax(1).amax(1)], dim=1)
        if self.outputs <= SCORED_CLASSES:
            values = torch.cat([values, outputs], dim=1)
        return values, targets.new_zeros(0)

    def compute(self, statistics: Statistics) -> Evaluation:
        """Macro F1 and balanced accuracy are means over the classes that occur, see
        ``roc_auc_by_class`` and ``quadratic_kappa`` for the others."""
        columns = statistics.values[:, :_VALUES].T.astype(np.float64, order="C")
        losses, labels, predicted, hits, _ = columns
        samples, classes = len(losses), self.outputs
        cells = [column.astype(np.int64) for column in (labels, predicted)]
        true, guessed = (np.bincount(column, minlength=classes) for column in cells)
        correct = np.bincount(cells[0][labels == predicted], minlength=classes)
        scores = ClassScores.from_counts(correct, true, guessed)
        loss, top1, top5 = float(losses.mean()), int(correct.sum()), int(hits.sum())
        metrics = {
            "top1": top1 / samples,
            "top5": top5 / samples,
            "macro_f1": mean_of_defined(scores.f1),
            "balanced_accuracy": mean_of_defined(scores.recall),
        }
        if self._numbers is not None:
            metrics["quadratic_kappa"] = quadratic_kappa(*self._numbers[cells])
        more_by_name = {
            "samples": named(self.classes, true),
            "precision": named(self.classes, scores.precision),
            "f1": named(self.classes, scores.f1),
        }
        if classes <= SCORED_CLASSES:
            auc = roc_auc_by_class(statistics.values[:, _VALUES:], cells[0])
            if not np.isnan(auc).all():
                metrics["roc_auc"] = mean_of_defined(auc)
                more_by_name["roc_auc"] = named(self.classes, auc)
        return Evaluation(
            samples=samples,
            loss=loss,
            metrics={**metrics, "log_loss": loss},
            counts={"top1_correct": top1, "top5_correct": top5},
            baselines={"majority_share": int(true.max()) / samples},
            main_column="recall",
            by_name=named(self.classes, scores.recall),
            more_by_name=more_by_name,
            confusion=_confusion(cells, classes) if classes <= CONFUSION_CLASSES else None,
        )

    def losses(self, statistics: Statistics) -> Float64s:
        return statistics.values[:, 0].astype(np.float64)

    def answers(self, statistics: Statistics) -> list[Answer]:
        return [
            Answer(
                loss=loss,
                true=self.classes[int(label)],
                predicted=self.classes[int(predicted)],
                probability=probability,
            )
            for loss, label, predicted, _, probability in statistics.values[:, :_VALUES].tolist()
        ]

    def describe(self) -> str:
        return f"{len(self.classes)} classes"

    @property
    def _numbers(self) -> NDArray[np.float64] | None:
        """The names of the classes as numbers; None if they are not all integers."""
        try:
            return np.array([int(name) for name in self.classes], np.float64)
        except (ValueError, OverflowError):
            return None


def roc_auc_by_class(
    outputs: NDArray[np.float32], labels: NDArray[np.int64]
) -> NDArray[np.float64]:
    """ROC AUC of the probability of each class against all others, float64 (classes,). NaN for a
    class without samples and for a class that all samples have; of two classes, whose values are
    equal, also for the first, so that their mean is that of the second."""
    scores, classes = log_softmax(outputs), outputs.shape[1]
    first = 1 if classes == 2 else 0
    values = [
        roc_auc(*threshold_counts(scores[:, number], labels == number))
        for number in range(first, classes)
    ]
    return np.array([np.nan] * first + values)


def _confusion(cells: Sequence[NDArray[np.int64]], classes: int) -> NDArray[np.int64]:
    labels, predicted = cells
    counts = np.bincount(labels * classes + predicted, minlength=classes**2)
    return counts.reshape(classes, classes)
