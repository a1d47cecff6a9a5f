"""The two ways in which a command ends badly; click prints the sentence and sets the exit code."""

import click


class DataError(click.ClickException):
    """Something in the data or on the machine stands in the way (exit code 1)."""

    exit_code = 1


class MisuseError(click.UsageError):
    """What was asked for makes no sense (exit code 2)."""
