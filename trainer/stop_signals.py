"""How a process ends early: by a signal, kept until a step boundary, or by a sentence that one
rank says for all."""

import signal
from types import FrameType
from typing import Any, Self

# SIGUSR1 is what batch systems such as Slurm send ahead of the end (sbatch --signal).
HANDLED_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


class StopSignal:
    """While open, the signals of `HANDLED_SIGNALS` only set `number`; the first of them counts."""

    def __init__(self) -> None:
        self.number: int | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        self._previous = {number: signal.signal(number, self._hear) for number in HANDLED_SIGNALS}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self.number = self.number or number
