"""Where a run ends: at a position, or where a deadline will find it."""

import time
from collections import deque
from collections.abc import Callable

# Until the first steps have been timed a run with a deadline counts on so many.
UNTIMED_STEPS = 1000
# Marks of the way are so far apart, as a share of the whole time.
MARK_SHARE = 1e-3


class Horizon:
    """The end as seen from the last step.

    Attributes:
        end_position: fixed, or by the rate of the later half of the way so far, evaluations and
            checkpoints included.
        ended: whether no step is left, with a deadline: whether another would overshoot it.
        evaluation_seconds: what the last evaluation took, 0 before the first.
        spent_seconds: of the deadline, by all processes of the run; 0 without one.
    """

    def __init__(
        self,
        *,
        position: int,
        step: int,
        end_position: int,
        seconds: float | None = None,
        spent_seconds: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._step, self._seconds, self._before = step, seconds, spent_seconds
        self.spent_seconds = spent_seconds
        self.evaluation_seconds = 0.0
        self._began = clock()
        if seconds is None:
            self.end_position, self.ended = end_position, position >= end_position
            return
        self.ended = spent_seconds >= seconds
        self.end_position = position + (0 if self.ended else UNTIMED_STEPS * step)
        self._first = 0.0
        self._marks: deque[tuple[float, int]] = deque()

    @property
    def is_timed(self) -> bool:
        return self._seconds is not None

    def elapsed_seconds(self) -> float:
        """Since this was made, by this rank's clock."""
        return self._clock() - self._began

    def leaves(self, seconds: float) -> bool:
        """Whether something that takes so long is over before the deadline."""
        return self._seconds is None or self.spent_seconds + seconds < self._seconds

    def move(self, position: int, elapsed_seconds: float) -> None:
        """This process is at `position` after `elapsed_seconds`, which all ranks agree on."""
        if self._seconds is None:
            self.ended = position >= self.end_position
            return
        self.spent_seconds = self._before + elapsed_seconds
        marks = self._marks
        if not marks:
            self._first = elapsed_seconds
        if not marks or elapsed_seconds - marks[-1][0] >= MARK_SHARE * self._seconds:
            marks.append((elapsed_seconds, position))
        while len(marks) > 1 and marks[1][0] <= (elapsed_seconds + self._first) / 2:
            marks.popleft()
        then, old_position = marks[0]
        left = self._seconds - self.spent_seconds
        if position > old_position:
            rate = (position - old_position) / (elapsed_seconds - then)
            self.end_position = position + round(max(0.0, rate * left))
            self.ended = left * rate < self._step
        else:
            self.ended = left <= 0
        if self.ended:
            self.end_position = position
