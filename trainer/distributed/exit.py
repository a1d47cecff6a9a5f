"""How a rank prints an error and exits."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import click

from pipeline.commands import require_output, show_error
from pipeline.console import print_line
from pipeline.errors import DataError
from pipeline.interrupts import INTERRUPTED, INTERRUPTED_EXIT_CODE
from pipeline.storage.file_systems import is_full

# torchrun ends all ranks at the first error exit, so the other ranks give rank 0 time to print.
EXIT_GRACE_SECONDS = 3.0


def leave(exit_code: int) -> NoReturn:
    """End this process without any clean-up, which could wait for other ranks."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(exit_code)


def print_error(error: click.ClickException) -> None:
    """Print the error, and pass it to torchrun, whose own report follows."""
    show_error(error)
    report = os.environ.get("TORCHELASTIC_ERROR_FILE")
    if report:
        text = error.format_message()
        # Fields of torch.distributed.elastic, which prints the "call stack" as the last lines.
        extra = {"py_callstack": f"\n\n{text}", "timestamp": str(int(time.time()))}
        fields = {"message": {"message": text, "extraInfo": extra}}
        Path(report).write_text(json.dumps(fields), encoding="utf-8")


def exit_with_message(error: click.ClickException) -> NoReturn:
    """Print the error as ``print_error`` does, and exit."""
    print_error(error)
    raise SystemExit(error.exit_code)


def exit_silently(exit_code: int) -> NoReturn:
    """Exit without a message, after a grace period for rank 0 or at torchrun's SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    time.sleep(EXIT_GRACE_SECONDS)
    leave(exit_code)


def output_full_error(error: BaseException) -> DataError | None:
    """The error to print if `error` is that of an output on a full disk, such as `> file`; nothing
    more is written there."""
    if not (isinstance(error, OSError) and is_full(error)):
        return None
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    where = error.filename or "the output"
    return DataError(f"Cannot write {where} ({error.strerror}): free disk space and repeat.")


def check_first(check: Callable[[], object]) -> None:
    """Call `check` before torch is imported, which takes seconds. Its errors are those of every
    rank of this machine: rank 0 raises them, the others exit silently with their exit code.

    On several machines, which may see other files, the ranks check when they have met.
    """
    if os.environ.get("WORLD_SIZE", "1") != os.environ.get("LOCAL_WORLD_SIZE", "1"):
        return
    try:
        check()
    except click.ClickException as error:
        if is_first_rank():
            raise
        exit_silently(error.exit_code)


def is_first_rank() -> bool:
    """Whether this is rank 0, by the environment of torchrun."""
    return os.environ.get("RANK", "0") == "0"


def entry(command: click.Command, **settings: Any) -> None:
    """Run a command of several ranks; only rank 0 reports wrong arguments. The `settings` are those
    of ``click.Command.main``."""
    try:
        command(standalone_mode=False, **settings)
    except click.UsageError as error:
        if not is_first_rank():
            exit_silently(error.exit_code)
        exit_with_message(error)
    except click.ClickException as error:
        exit_with_message(error)
    except OSError as error:
        full = output_full_error(error)
        if full is None:
            raise
        exit_with_message(full)
    except click.Abort:
        if is_first_rank():
            print_line(INTERRUPTED, err=True)
        raise SystemExit(INTERRUPTED_EXIT_CODE) from None
    if code := require_output():
        raise SystemExit(code)
