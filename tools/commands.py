"""What the commands share; imports little, so that --help is fast."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.errors import DataError


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
