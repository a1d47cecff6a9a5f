"""What the commands of this folder have in common; light, for the sake of --help."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from pipeline.errors import DataError

# As a shell reports a command that SIGINT ended.
INTERRUPTED_EXIT_CODE = 130


@contextmanager
def needs_packages() -> Iterator[None]:
    """Imports within may fail for lack of a package; then ``DataError`` says which."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise DataError(
            f"{sys.executable} lacks the package {error.name}: run `pip install -e .` in the "
            f"repository, or activate the environment where that was done."
        ) from error


@contextmanager
def interruptible() -> Iterator[None]:
    """Ctrl-C within ends the command, without a traceback."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo("Interrupted.")
        raise click.exceptions.Exit(INTERRUPTED_EXIT_CODE) from None
