"""How ranks exit after an error: one rank prints it, the others exit silently."""

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import NoReturn

import click

from pipeline.commands import require_output, show_error
from pipeline.console import print_line
from pipeline.errors import DataError
from pipeline.interrupts import INTERRUPTED, INTERRUPTED_EXIT_CODE
from pipeline.storage.file_systems import is_full

# torchrun ends all ranks at the first error exit, so the other ranks give rank 0 time to print.
EXIT_GRACE_SECONDS = 3.0


def exit_with_message(error: click.ClickException) -> NoReturn:
    """Print the error, pass it to torchrun, whose own report follows, and exit."""
    show_error(error)
    report = os.environ.get("TORCHELASTIC_ERROR_FILE")
    if report:
        text = error.format_message()
        # Fields of torch.distributed.elastic, which prints the "call stack".
        extra = {"py_callstack": text, "timestamp": str(int(time.time()))}
        fields = {"message": {"message": text, "extraInfo": extra}}
        Path(report).write_text(json.dumps(fields), encoding="utf-8")
    raise SystemExit(error.exit_code)


def exit_silently(exit_code: int) -> NoReturn:
    """Exit without a message, after a grace period for rank 0 or at torchrun's SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    time.sleep(EXIT_GRACE_SECONDS)
    raise SystemExit(exit_code)


def entry(command: click.Command) -> None:
    """Run a command of several ranks; only rank 0 reports wrong arguments."""
    try:
        command(standalone_mode=False)
    except click.UsageError as error:
        if os.environ.get("RANK", "0") != "0":
            exit_silently(error.exit_code)
        exit_with_message(error)
    except click.ClickException as error:
        exit_with_message(error)
    except OSError as error:
        if not is_full(error):
            raise
        # Such as `> file` on a full disk: nothing more is written there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        where = error.filename or "the output"
        exit_with_message(
            DataError(f"Cannot write {where} ({error.strerror}): free disk space and repeat.")
        )
    except click.Abort:
        if os.environ.get("RANK", "0") == "0":
            print_line(INTERRUPTED, err=True)
        raise SystemExit(INTERRUPTED_EXIT_CODE) from None
    if code := require_output():
        raise SystemExit(code)
