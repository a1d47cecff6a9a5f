"""When a run stops: at a fixed position, at a deadline, or after a signal."""

import signal
import time
from collections import deque
from collections.abc import Callable
from math import inf
from types import FrameType
from typing import Any, Self

from pipeline.interrupts import exit_at_once
from pipeline.watchdog import is_waiting
from trainer.distributed.collectives import World

# Batch systems such as Slurm send SIGUSR1 ahead of a job's time limit (sbatch --signal); a terminal
# that closes sends SIGHUP.
HANDLED_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP)
# Batch systems and containers kill a process that is still there after 30 and 10 s.
PATIENCE_SECONDS, RETRY_SECONDS = 5.0, 0.5
# torchrun passes on the SIGINT that the terminal has sent to its ranks already.
ECHO_SECONDS = 1.0
# Assumed length of a timed run until its first steps are measured.
UNTIMED_STEPS = 1000
# Least distance of two measured positions, as a fraction of the time budget.
SPACING_FRACTION = 1e-3


class TimeBudget:
    """The expected end of a run, updated after each step; with a deadline, after those steps at
    which the ranks agree on the time.

    Attributes:
        end_position: where the run ends: fixed, or extrapolated to the deadline from the rate over
            the later half of the time so far, evaluations and checkpoints included.
        ended: whether no step is left; with a deadline: whether another step would exceed it.
        evaluation_seconds: duration of the last evaluation, 0 before the first.
        spent_seconds: time used by all processes of the run; 0 without a deadline.
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
        """
        Args:
            position: where this process begins.
            step: samples per step.
            end_position: used without a deadline only.
            seconds: the whole budget; None for no deadline.
            spent_seconds: time used by earlier processes of the run.
        """
        self._clock = clock
        self._step, self._seconds, self._spent_before = step, seconds, spent_seconds
        self.spent_seconds = spent_seconds
        self.evaluation_seconds = 0.0
        self._started = clock()
        if seconds is None:
            self.end_position, self.ended = end_position, position >= end_position
            return
        self.ended = spent_seconds >= seconds
        self.end_position = position + (0 if self.ended else UNTIMED_STEPS * step)
        self._first_seconds = 0.0
        # (elapsed seconds, position), oldest first.
        self._history: deque[tuple[float, int]] = deque()

    @property
    def is_timed(self) -> bool:
        return self._seconds is not None

    def elapsed_seconds(self) -> float:
        """Time since construction, by this rank's clock."""
        return self._clock() - self._started

    @property
    def remaining_seconds(self) -> float:
        """Time to the deadline as of the last ``advance``; inf without a deadline."""
        return inf if self._seconds is None else self._seconds - self.spent_seconds

    def has_room_for(self, seconds: float) -> bool:
        """Whether work of this duration ends before the deadline."""
        return self._seconds is None or self.spent_seconds + seconds < self._seconds

    def advance(self, position: int, elapsed_seconds: float) -> None:
        """Record that this process reached `position` after `elapsed_seconds`, which must be equal
        on all ranks."""
        if self._seconds is None:
            self.ended = position >= self.end_position
            return
        self.spent_seconds = self._spent_before + elapsed_seconds
        history = self._history
        if not history:
            self._first_seconds = elapsed_seconds
        if not history or elapsed_seconds - history[-1][0] >= SPACING_FRACTION * self._seconds:
            history.append((elapsed_seconds, position))
        while len(history) > 1 and history[1][0] <= (elapsed_seconds + self._first_seconds) / 2:
            history.popleft()
        then, old_position = history[0]
        remaining_seconds = self._seconds - self.spent_seconds
        if position > old_position:
            rate = (position - old_position) / (elapsed_seconds - then)
            self.end_position = position + round(max(0.0, rate * remaining_seconds))
            self.ended = remaining_seconds * rate < self._step
        else:
            self.ended = remaining_seconds <= 0
        if self.ended:
            self.end_position = position


class InputHangsError(KeyboardInterrupt):
    """A run that a signal stops has waited for a batch for `PATIENCE_SECONDS`."""


class StopSignal:
    """Context that records the first of `HANDLED_SIGNALS` instead of letting it end the process;
    the run stops at the next step boundary. A SIGHUP that is ignored (nohup) stays so.

    A run that waits for a batch is at a step boundary: after `PATIENCE_SECONDS` without a step its
    wait raises ``InputHangsError``. The start of a run, with nothing to save, ends then as well. A
    second Ctrl-C ends the process at once.

    Attributes:
        number: the signal that this rank received; None if none.
        trains: whether the start of the run is over.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self.trains = False
        self._received_seconds = 0.0
        self._previous: dict[int, Any] = {}

    def add_step(self) -> None:
        """Be patient anew after a step: steps follow a signal until the ranks agree on it."""
        if self.number is not None:
            signal.setitimer(signal.ITIMER_REAL, PATIENCE_SECONDS, RETRY_SECONDS)

    def received_by_any(self, world: World) -> int:
        """The signal that some rank received; 0 if none. All ranks must call this."""
        return int(world.all_reduce_max([self.number or 0])[0])

    def __enter__(self) -> Self:
        for number in HANDLED_SIGNALS:
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                self._previous[number] = signal.signal(number, self._record)
        self._previous[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._lose_patience)
        return self

    def __exit__(self, *error: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _record(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.number is None:
            self.number, self._received_seconds = number, now
            signal.setitimer(signal.ITIMER_REAL, PATIENCE_SECONDS, RETRY_SECONDS)
        elif number == self.number == signal.SIGINT and now - self._received_seconds > ECHO_SECONDS:
            exit_at_once(128 + number, "Stopped by the second SIGINT, without saving.")

    def _lose_patience(self, number: int, frame: FrameType | None) -> None:
        stopped_by = self.number or signal.SIGINT
        if not self.trains:
            name = signal.Signals(stopped_by).name
            exit_at_once(128 + stopped_by, f"Stopped by {name} before the first step.")
        if is_waiting(frame):
            raise InputHangsError
