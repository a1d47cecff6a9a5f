"""The learning rate as a pure function of the position."""

import math
from collections.abc import Callable
from dataclasses import dataclass

# What is left of the peak after a share of the way from the warm-up's end to the run's end.
SHAPES: dict[str, Callable[[float], float]] = {
    # Loshchilov & Hutter 2017, arXiv:1608.03983.
    "cosine": lambda way: (1 + math.cos(math.pi * way)) / 2,
    "linear": lambda way: 1 - way,
    # A tenth after each third of the run: epochs 30 and 60 of 90 in He et al. 2016,
    # arXiv:1512.03385, as Goyal et al. 2017, arXiv:1706.02677, write it.
    "step": lambda way: 0.1 ** int(3 * way),
}


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Linear warm-up from 0 to `peak`, then a fall in one of SHAPES.

    Positions are in samples, so the curve doesn't depend on how many make a step.
    """

    peak: float
    warmup_position: float
    end_position: float
    shape: str = "cosine"

    def __call__(self, position: float) -> float:
        """The learning rate at `position`; 0 from `end_position` on."""
        if position < self.warmup_position:
            return self.peak * position / self.warmup_position
        if position >= self.end_position:
            return 0.0
        if self.shape == "step":
            # Thirds of the whole run, warm-up included.
            return self.peak * SHAPES["step"](position / self.end_position)
        way = (position - self.warmup_position) / (self.end_position - self.warmup_position)
        return self.peak * SHAPES[self.shape](way)
