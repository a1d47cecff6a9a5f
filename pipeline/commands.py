"""How each command ends: with a sentence and an exit code, whatever it prints to."""

import io
import sys
from collections.abc import Callable
from typing import Any

import click

from pipeline.console import guard_streams, output_error, print_line
from pipeline.interrupts import INTERRUPTED, INTERRUPTED_EXIT_CODE, begin


class SafeCommand(click.Command):
    """A command whose output is safe (``pipeline.console``), and which exits with 130 after
    Ctrl-C."""

    def main(self, *arguments: Any, **settings: Any) -> Any:
        run: Callable[..., Any] = super().main
        is_standalone = settings.pop("standalone_mode", True)
        begin()
        guard_streams()
        try:
            result = run(*arguments, standalone_mode=False, **settings)
            if not is_standalone:
                return result
            # The exit code of click's Exit, otherwise None.
            code = result or require_output()
        except click.ClickException as error:
            if not is_standalone:
                raise
            show_error(error)
            code = error.exit_code
        except click.Abort:
            if not is_standalone:
                raise
            print_line(INTERRUPTED, err=True)
            code = INTERRUPTED_EXIT_CODE
        sys.exit(code)


def show_error(error: click.ClickException) -> None:
    """Print the error to stderr, after the usage if the arguments are wrong."""
    text = io.StringIO()
    error.show(file=text)
    print_line(text.getvalue().rstrip("\n"), err=True)


def require_output() -> int:
    """1, after a sentence, if stdout could not be written: its disk is full."""
    error = output_error()
    if error is not None:
        print_line(f"Error: The output can't be written ({error.strerror}).", err=True)
    return int(error is not None)
