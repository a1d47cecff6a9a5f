"""How a process ends early: by a signal, kept until a step boundary, or by a sentence that one
rank says for all."""

import json
import os
import signal
import time
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, Self

import click

# SIGUSR1 is what batch systems such as Slurm send ahead of the end (sbatch --signal).
HEARD = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)

# torchrun ends every rank at the first that leaves with an error: rank 0 speaks within this time.
LINGER_SECONDS = 3.0


class StopSignal:
    """While open, the signals of `HEARD` only set `number`; the first of them counts."""

    def __init__(self) -> None:
        self.number: int | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        self._previous = {number: signal.signal(number, self._hear) for number in HEARD}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self.number = self.number or number


def leave_saying(error: click.ClickException) -> NoReturn:
    """Print the sentence, hand it to torchrun, whose own report comes last, and exit."""
    error.show()
    report = os.environ.get("TORCHELASTIC_ERROR_FILE")
    if report:
        text = error.format_message()
        # torch.distributed.elastic's own fields; it prints the "call stack".
        extra = {"py_callstack": text, "timestamp": str(int(time.time()))}
        fields = {"message": {"message": text, "extraInfo": extra}}
        Path(report).write_text(json.dumps(fields), encoding="utf-8")
    raise SystemExit(error.exit_code)


def leave_quietly(exit_code: int) -> NoReturn:
    """Exit without a word, after rank 0 had the time to say it, or when torchrun asks for it."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    time.sleep(LINGER_SECONDS)
    raise SystemExit(exit_code)
