"""Errors that end a command; click prints the message and sets the exit code."""

import click


class DataError(click.ClickException):
    """Something in the data or on the machine is wrong (exit code 1)."""

    exit_code = 1


class MisuseError(click.UsageError):
    """The arguments are invalid (exit code 2)."""
