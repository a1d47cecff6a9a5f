"""The learning rate as a pure function of the position."""

import math
from collections.abc import Callable
from dataclasses import dataclass

# Progress in [0, 1) from the end of the warm-up to the end of the run -> fraction of the peak.
SHAPES: dict[str, Callable[[float], float]] = {
    # Loshchilov & Hutter 2017, arXiv:1608.03983.
    "cosine": lambda progress: (1 + math.cos(math.pi * progress)) / 2,
    "linear": lambda progress: 1 - progress,
    # A tenth after each third of the run: epochs 30 and 60 of 90 in He et al. 2016,
    # arXiv:1512.03385, as stated by Goyal et al. 2017, arXiv:1706.02677.
    "step": lambda progress: 0.1 ** int(3 * progress),
}


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Linear warm-up from 0 to `peak`, then a decay of one of SHAPES.

    Positions are in samples, so the curve does not depend on the global batch size.
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
        # "step" counts thirds of the whole run, warm-up included.
        start = 0 if self.shape == "step" else self.warmup_position
        progress = (position - start) / (self.end_position - start)
        return self.peak * SHAPES[self.shape](progress)
