"""Errors that end a command; the command prints the message and sets the exit code. Names from the
data in a message are made printable here."""

from typing import Any

import click

from pipeline.printable import printable


class DataError(click.ClickException):
    """Something in the data or on the machine is wrong (exit code 1)."""

    exit_code = 1

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


class MisuseError(click.UsageError):
    """The arguments are invalid (exit code 2)."""

    def __init__(self, message: str, **settings: Any) -> None:
        super().__init__(printable(message), **settings)
