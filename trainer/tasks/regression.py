"""Regression: numbers per image."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import mse_loss

from trainer.tasks.constants import constant
from trainer.tasks.formulas import Float64s, named
from trainer.tasks.metric_names import TASK_METRICS
from trainer.tasks.scores import Answer, Evaluation, Statistics


@dataclass(frozen=True, kw_only=True)
class Regression:
    """Numbers per image. Targets: float32 (B, targets); a row of NaN does not count.

    Attributes:
        means, stds: mean and standard deviation of each target over the training split. Outputs
            and loss are of standardized targets, so that targets of any unit have equal weight.
    """

    targets: tuple[str, ...]
    means: tuple[float, ...]
    stds: tuple[float, ...]
    primary_metric: str = "r2"

    @property
    def outputs(self) -> int:
        return len(self.targets)

    @property
    def metrics(self) -> tuple[str, ...]:
        return TASK_METRICS["regression"]

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        means, stds = self._moments(targets.device)
        return mse_loss(outputs, (targets - means) / stds)

    def batch_statistics(
        self, outputs: torch.Tensor, targets: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Values: the predictions in the targets' units, then the targets."""
        means, stds = self._moments(outputs.device)
        values = torch.cat([outputs * stds + means, targets], dim=1)
        return values, outputs.new_zeros(0, dtype=torch.int64)

    def compute(self, statistics: Statistics) -> Evaluation:
        """R2: 1 - squared errors / squared distances from the mean of the evaluated split; 0 for a
        constant target. RMSE and MAE in the targets' units, and those of predicting this mean for
        all samples. Each is averaged over the targets."""
        predicted, truth = np.split(statistics.values.astype(np.float64), 2, axis=1)
        errors, stds = predicted - truth, np.array(self.stds)
        squares = np.square(errors).mean(axis=0)
        distances = truth - truth.mean(axis=0)
        spread = np.square(distances).mean(axis=0)
        is_constant = spread <= 1e-12 * stds**2
        values = {
            "r2": np.where(is_constant, 0.0, 1 - squares / np.where(is_constant, 1.0, spread)),
            "rmse": np.sqrt(squares),
            "mae": np.abs(errors).mean(axis=0),
        }
        baselines = {"rmse_of_mean": np.sqrt(spread), "mae_of_mean": np.abs(distances).mean(axis=0)}
        by_name = {
            name: named(self.targets, column) for name, column in (values | baselines).items()
        }
        return Evaluation(
            samples=len(errors),
            loss=float((squares / stds**2).mean()),
            metrics={name: float(column.mean()) for name, column in values.items()},
            baselines={name: float(column.mean()) for name, column in baselines.items()},
            main_column="r2",
            by_name=by_name.pop("r2"),
            more_by_name=by_name,
        )

    def losses(self, statistics: Statistics) -> Float64s:
        predicted, truth = np.split(statistics.values.astype(np.float64), 2, axis=1)
        return np.asarray(np.square((predicted - truth) / self.stds).mean(axis=1))

    def answers(self, statistics: Statistics) -> list[Answer]:
        """Numbers in the targets' units; with several targets after their names."""
        predicted, truth = np.split(statistics.values, 2, axis=1)
        losses = self.losses(statistics).tolist()
        rows = zip(losses, truth.tolist(), predicted.tolist(), strict=True)
        return [Answer(loss=n, true=self._text(t), predicted=self._text(p)) for n, t, p in rows]

    def _text(self, values: Sequence[float]) -> str:
        if len(values) == 1:
            return f"{values[0]:.6g}"
        pairs = zip(self.targets, values, strict=True)
        return ", ".join(f"{name} {value:.6g}" for name, value in pairs)

    def describe(self) -> str:
        return f"{len(self.targets)} numbers per image"

    def _moments(self, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """`means` and `stds`, float32 (targets,)."""
        return constant(self.means, device), constant(self.stds, device)
