"""Ctrl-C from the first statement of a command on: a sentence and exit code 130, no traceback.

Python raises ``KeyboardInterrupt`` wherever it is. While modules are imported nothing is there to
be saved, and some extension modules ignore the exception or abort: the process exits at once then.
"""

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

# The exit code by which shells report a command that SIGINT ended.
INTERRUPTED_EXIT_CODE = 130
INTERRUPTED = "Interrupted."

# What sys.argv[0] is while Python looks for the module of `python -m`; names of console scripts.
_MODULE, _SCRIPTS = "-m", ("shard", "bench-")
_IMPORT_SYSTEM = "<frozen importlib._bootstrap>"

_has_begun = False


def begin() -> None:
    """A command begins: from now on only imports are ended at once."""
    global _has_begun
    _has_begun = True


def handle_interrupts() -> None:
    """If this process is a command, handle SIGINT, unless it is ignored (`command &` in a script).

    Linux ignores a signal that would end process 1, that of a container, so SIGTERM gets a handler
    there.
    """
    name = Path(sys.argv[0]).name if sys.argv else ""
    if name != _MODULE and not name.startswith(_SCRIPTS):
        return
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)
    if os.getpid() == 1 and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, lambda number, frame: os._exit(128 + number))


def _interrupt(number: int, frame: FrameType | None) -> None:
    if _has_begun and not _is_importing(frame):
        raise KeyboardInterrupt
    exit_at_once(INTERRUPTED_EXIT_CODE, INTERRUPTED)


def exit_at_once(exit_code: int, sentence: str) -> NoReturn:
    """End this process in a handler of a signal, without any clean-up."""
    # The signal may have interrupted a write to the same stream.
    with suppress(RuntimeError, OSError):
        sys.stdout.flush()
    with suppress(OSError):
        os.write(2, f"{sentence}\n".encode())
    os._exit(exit_code)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == _IMPORT_SYSTEM:
            return True
        frame = frame.f_back
    return False
