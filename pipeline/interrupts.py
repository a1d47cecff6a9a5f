"""Ctrl-C from the first statement of a command on: a sentence and exit code 130, no traceback.

Python raises ``KeyboardInterrupt`` wherever it is. While modules are imported nothing is there to
be saved, and some extension modules ignore the exception or abort: the process exits at once then.

Until ``handle_interrupts`` runs, Ctrl-C gives Python's own traceback. So this module and
``pipeline/__init__.py`` import only what Python has loaded when it starts: ``_signal``, not
``signal``, which takes milliseconds more.
"""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from types import FrameType
    from typing import NoReturn
else:
    import _signal

# The exit code by which shells report a command that SIGINT ended.
INTERRUPTED_EXIT_CODE = 130
INTERRUPTED = "Interrupted."

# What sys.argv[0] is while Python looks for the module of `python -m`; names of console scripts.
_MODULE, _SCRIPTS = "-m", ("shard", "bench-")
# DALI is built for Linux only; tools/shard bounds the memory of its decoders and shares unpacked
# archives among its processes through /proc.
_OTHER_SYSTEM = (
    "Error: shardline runs on Linux, but this is {}. On Windows use WSL2, on macOS a Linux "
    "container."
)
_IMPORT_SYSTEM = "<frozen importlib._bootstrap>"

_has_begun = False


def begin() -> None:
    """A command begins: from now on only imports are ended at once."""
    global _has_begun
    _has_begun = True


def handle_interrupts() -> None:
    """If this process is a command, handle SIGINT, unless it is ignored (`command &` in a script);
    exit with 1 and a sentence where commands don't run.

    Linux ignores a signal that would end process 1, that of a container, so SIGTERM gets a handler
    there.
    """
    name = os.path.basename(sys.argv[0]) if sys.argv else ""  # noqa: PTH119
    if name != _MODULE and not name.startswith(_SCRIPTS):
        return
    if sys.platform != "linux":
        exit_at_once(1, _OTHER_SYSTEM.format(sys.platform))
    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
        _signal.signal(_signal.SIGINT, _interrupt)
    # tools/python.sh holds SIGINT back while Python starts.
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, (_signal.SIGINT,))
    if os.getpid() == 1 and _signal.getsignal(_signal.SIGTERM) is _signal.SIG_DFL:
        _signal.signal(_signal.SIGTERM, lambda number, frame: os._exit(128 + number))


def _interrupt(number: int, frame: "FrameType | None") -> None:
    if _has_begun and not _is_importing(frame):
        raise KeyboardInterrupt
    exit_at_once(INTERRUPTED_EXIT_CODE, INTERRUPTED)


def exit_at_once(exit_code: int, sentence: str) -> "NoReturn":
    """End this process in a handler of a signal, without any clean-up."""
    try:
        # Fails if the signal interrupted a write to the same stream.
        sys.stdout.flush()
    finally:
        try:
            os.write(2, f"{sentence}\n".encode())
        finally:
            os._exit(exit_code)


def _is_importing(frame: "FrameType | None") -> bool:
    while frame is not None:
        if frame.f_code.co_filename == _IMPORT_SYSTEM:
            return True
        frame = frame.f_back
    return False
