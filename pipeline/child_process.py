"""Python processes of our own modules, which no file in the current folder can hide."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# The folder that holds our packages.
_ROOT = Path(__file__).parents[1]


def module_command(module: str, *arguments: str, python: str = sys.executable) -> list[str]:
    """The command ``python -m module``; needs ``module_variables`` where our packages are not
    installed."""
    return [python, "-P", "-m", module, *arguments]


def module_variables(**more: str) -> dict[str, str]:
    """The environment variables of a process that imports our modules, and `more`. It and the
    processes that it starts find our packages first, and nothing in the current folder."""
    paths = [str(_ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    # An empty entry would be the current folder.
    path = os.pathsep.join(dict.fromkeys(filter(None, paths)))
    return os.environ | {"PYTHONPATH": path, "PYTHONSAFEPATH": "1"} | more


@contextmanager
def with_module_variables() -> Iterator[None]:
    """This process has ``module_variables`` in this context, for libraries that start processes."""
    names = ("PYTHONPATH", "PYTHONSAFEPATH")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(module_variables())
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
