"""Error handling that the commands share; imports little, so that --help is fast."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from pipeline.errors import DataError

# The exit code by which shells report a command that SIGINT ended.
INTERRUPTED_EXIT_CODE = 130


@contextmanager
def needs_packages() -> Iterator[None]:
    """Import in this context; raises ``DataError`` with the name of a missing package."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise DataError(
            f"{sys.executable} lacks the package {error.name}. Run `pip install -e .` in the "
            f"repository, or activate the environment that has it."
        ) from error


@contextmanager
def interruptible() -> Iterator[None]:
    """Exit on Ctrl-C without a traceback."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo("Interrupted.")
        raise click.exceptions.Exit(INTERRUPTED_EXIT_CODE) from None
