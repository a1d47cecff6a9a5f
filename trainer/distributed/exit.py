"""How the ranks of a run exit: one of them prints the error."""

import json
import os
import signal
import time
from pathlib import Path
from typing import NoReturn

import click

# torchrun ends every rank at the first that leaves with an error: rank 0 speaks within this time.
LINGER_SECONDS = 3.0


def exit_with_message(error: click.ClickException) -> NoReturn:
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


def exit_silently(exit_code: int) -> NoReturn:
    """Exit without a word, after rank 0 had the time to say it, or when torchrun asks for it."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    time.sleep(LINGER_SECONDS)
    raise SystemExit(exit_code)


def entry(command: click.Command) -> None:
    """Run a command; what is wrong with its arguments is so on all ranks, and one says it."""
    try:
        command(standalone_mode=False)
    except click.UsageError as error:
        if os.environ.get("RANK", "0") != "0":
            exit_silently(error.exit_code)
        exit_with_message(error)
    except click.ClickException as error:
        exit_with_message(error)
    except click.Abort:
        raise SystemExit(130) from None
