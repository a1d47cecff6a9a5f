"""The learning-rate range test: train with a rate that rises from step to step, and look at the
loss (Smith 2015, "Cyclical Learning Rates for Training Neural Networks", arXiv:1506.01186, section
3.3). The rate rises exponentially, as in fastai's lr_find, for useful values span decades."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.arrays import Floats

# The rates of a test, for each optimizer.
RANGES = {"sgd": (1e-4, 10.0), "adamw": (1e-6, 0.1), "lars": (1e-2, 100.0)}
# A test ends when the mean of the last few losses is this multiple of that of the first few, or a
# single loss the second one.
_DIVERGED, _EXPLODED, _FEW = 2.0, 4.0, 5
# Standard deviation of the Gaussian that smooths the losses, in decades of the rate.
_SMOOTHING_DECADES = 0.15
# A loss that falls by less than this fraction has not fallen.
_LEAST_FALL = 0.02
# The suggested rate in terms of that of the lowest loss: there the loss rises already.
BELOW_LOWEST = 0.1
RULE = "a tenth of the rate at which the smoothed loss is lowest"


@dataclass(frozen=True, kw_only=True)
class RangeTest:
    """What a test measured.

    Attributes:
        rates, losses: of each step, float64 (steps,); the loss is that before the step.
    """

    rates: Floats
    losses: Floats

    @property
    def smoothed(self) -> Floats:
        """The mean of the losses at neighboring rates, float64 (steps,); losses that explode count
        less."""
        decades = np.log10(self.rates)
        distances = (decades[:, None] - decades) / _SMOOTHING_DECADES
        weights = np.exp(-0.5 * np.square(distances))
        losses = np.minimum(self.losses, _DIVERGED * _first(self.losses))
        means: Floats = weights @ losses / weights.sum(axis=1)
        return means

    @property
    def suggested(self) -> float | None:
        """The rate that RULE suggests; None if no rate lowered the loss."""
        if len(self.losses) < _FEW:
            return None
        smoothed = self.smoothed
        if smoothed.min() > (1 - _LEAST_FALL) * smoothed[0]:
            return None
        return BELOW_LOWEST * float(self.rates[smoothed.argmin()])


def rising_rates(optimizer: str, steps: int) -> Floats:
    """The learning rate of each of `steps` steps, float64 (steps,)."""
    return np.geomspace(*RANGES[optimizer], steps)


def has_diverged(losses: Sequence[float]) -> bool:
    """Whether a test with these losses so far should end."""
    if not np.isfinite(losses[-1]):
        return True
    if len(losses) <= _FEW:
        return False
    first = _first(losses)
    return bool(np.mean(losses[-_FEW:]) > _DIVERGED * first or losses[-1] > _EXPLODED * first)


def _first(losses: Sequence[float] | Floats) -> float:
    """The loss before a rate has changed it."""
    return float(np.mean(losses[:_FEW]))
