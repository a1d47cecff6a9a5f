"""How often the ranks exchange what they must agree on: after K steps, K by the measured times.

A signal, a checkpoint that is due and the clock are known to single ranks. To act on them in the
same step, the ranks exchange them; all ranks compute K from the figures of the last exchanges,
which are the same on all.
"""

import statistics
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, inf, isfinite

from trainer.distributed.collectives import World

# Fraction of the time for exchanges after K steps; those before a record of metrics.jsonl may fall
# between them, and at most double it.
SHARE = 0.0025
# A signal may come just after an exchange. Steps that become four times as slow still leave 2 of
# the 10 s in which the run must have saved.
LONGEST_SECONDS = 2.0
# On a GPU the first steps are only enqueued, and seem fast.
GROWTH = 2
WINDOWS = 32


@dataclass(frozen=True, kw_only=True)
class Window:
    """The steps between two exchanges, in figures that are the same on all ranks.

    Attributes:
        seconds: from one exchange to the next, on the slowest rank.
        exchange_seconds: duration of the first exchange on the rank that waited least for others.
    """

    steps: int
    seconds: float
    exchange_seconds: float


def steps_to_next(windows: Sequence[Window], remaining_seconds: float = inf) -> int:
    """Steps from an exchange to the next one: as few as keep the exchanges within `SHARE`.

    Args:
        windows: the last ones, oldest first.
        remaining_seconds: time to the deadline. Half of it must be left at the next exchange, so
            that the last steps are decided one by one.
    """
    if not windows:
        return 1
    mean = sum(window.seconds for window in windows) / sum(window.steps for window in windows)
    slowest = max(window.seconds / window.steps for window in windows)
    most = GROWTH * max(window.steps for window in windows)
    if slowest > 0:
        most = min(most, floor(min(LONGEST_SECONDS, remaining_seconds / 2) / slowest))
    # The mean, not the median: a few exchanges take several times as long, and their time counts.
    exchange = statistics.fmean(window.exchange_seconds for window in windows)
    needed = ceil(min(exchange / (SHARE * mean), most)) if mean > 0 else most
    return max(1, min(needed, most))


class Agreement:
    """Exchanges values between the ranks after some of the steps; all ranks call the same methods
    after the same steps. A single rank does so after each step."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._windows: deque[Window] = deque(maxlen=WINDOWS)
        self._steps, self._next = 0, 1
        # Of the last exchange: the agreed time, None after a pause, and its duration on this rank.
        self._agreed_seconds: float | None = None
        self._own_seconds = inf

    def add_step(self) -> bool:
        """Count a step; whether an exchange is due."""
        self._steps += 1
        return self._steps >= self._next

    def exchange(self, values: Sequence[float], elapsed_seconds: float) -> list[float]:
        """The maximum over the ranks of each value, and of `elapsed_seconds` as the last one."""
        began = time.perf_counter()
        *agreed, negative_seconds = self._world.all_reduce_max(
            [*values, elapsed_seconds, -self._own_seconds]
        )
        self._own_seconds = time.perf_counter() - began
        if self._agreed_seconds is not None and isfinite(negative_seconds):
            window = Window(
                steps=self._steps,
                seconds=agreed[-1] - self._agreed_seconds,
                exchange_seconds=-negative_seconds,
            )
            self._windows.append(window)
        self._agreed_seconds, self._steps = agreed[-1], 0
        return agreed

    def plan(self, remaining_seconds: float) -> None:
        """Choose the number of steps to the next exchange; the parameter is equal on all ranks."""
        if self._world.world_size > 1:
            self._next = steps_to_next(self._windows, remaining_seconds)

    def pause(self) -> None:
        """The ranks evaluated or saved: this time is not that of steps."""
        self._steps, self._next, self._agreed_seconds = 0, 1, None
