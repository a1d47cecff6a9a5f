"""What the commands share; imports little, so that --help is fast."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.errors import DataError

# What the dynamic linker says, and the packages of Debian and Ubuntu with libraries of OpenCV.
_SYSTEM_LIBRARY = re.compile(r"(lib[\w.+-]+\.so[\w.]*): cannot open shared object file")
SYSTEM_PACKAGES = {
    "libGL.so.1": "libgl1",
    "libgthread-2.0.so.0": "libglib2.0-0",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libSM.so.6": "libsm6",
    "libXext.so.6": "libxext6",
    "libgomp.so.1": "libgomp1",
}


@contextmanager
def needs_packages() -> Iterator[None]:
    """Import in this context; raises ``DataError`` with the name of a missing package or system
    library, and the command that installs it."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise DataError(
            f"{sys.executable} lacks the package {error.name}. Run `pip install -e .` in the "
            f"repository, or activate the environment that has it."
        ) from error
    except ImportError as error:
        library = _SYSTEM_LIBRARY.match(str(error))
        if library is None:
            raise
        package = SYSTEM_PACKAGES.get(library[1])
        command = f"Run `apt-get install {package}`" if package else "Install its package"
        raise DataError(
            f"The system library {library[1]}, which OpenCV or Arrow needs, is missing. {command} "
            f"as the administrator."
        ) from error
