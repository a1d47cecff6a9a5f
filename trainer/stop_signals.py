"""Who stops a run early: SIGTERM, SIGINT or SIGUSR1, handled at the next step boundary."""

import signal
from types import FrameType
from typing import Any, Self

from trainer.distributed.collectives import World

# Batch systems such as Slurm send SIGUSR1 ahead of a job's time limit (sbatch --signal).
HANDLED_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


class StopSignal:
    """Context that records the first of `HANDLED_SIGNALS` instead of letting it end the process.

    Attributes:
        number: the signal that this rank received; None if none.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._previous: dict[int, Any] = {}

    def received_by_any(self, world: World) -> int:
        """The signal that some rank received; 0 if none. All ranks must call this."""
        return int(world.all_reduce_max([self.number or 0])[0])

    def __enter__(self) -> Self:
        self._previous = {number: signal.signal(number, self._record) for number in HANDLED_SIGNALS}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _record(self, number: int, frame: FrameType | None) -> None:
        self.number = self.number or number
