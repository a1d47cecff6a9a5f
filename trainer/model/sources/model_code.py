"""The Python file of a model of one's own, --model FILE.py:FUNCTION, as it is read. Nothing is
executed here, and torch is not needed."""

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import MisuseError
from pipeline.storage.plain_files import read_plain

_FORM = re.compile(r"(?P<path>.+\.py):(?P<function>[^:/]+)")


@dataclass(frozen=True, kw_only=True)
class ModelCode:
    """A function of a file.

    Attributes:
        name: as ``--model`` gives it.
        path: the file that was read.
        code: its content.
    """

    name: str
    path: Path
    function: str
    code: bytes = field(repr=False)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.code).hexdigest()


def is_own_file(name: str) -> bool:
    """Whether a value of --model names a file."""
    return name.endswith(".py") or _FORM.fullmatch(name) is not None


def read_model_code(name: str) -> ModelCode:
    """Read the file of "FILE.py:FUNCTION".

    Raises ``MisuseError`` if the function is missing or the file can't be read.
    """
    parts = _FORM.fullmatch(name)
    if parts is None:
        raise MisuseError(
            f"--model {name} names no function: give {name}:FUNCTION, where FUNCTION takes the "
            f"number of classes and returns a torch.nn.Module."
        )
    path = Path(parts["path"])
    return ModelCode(name=name, path=path, function=parts["function"], code=read_code(path))


def read_code(path: Path) -> bytes:
    """The content of a file of --model. Raises ``MisuseError`` if it can't be read."""
    try:
        return read_plain(path)
    except OSError as error:
        raise MisuseError(
            f"--model {path} can't be read ({error.strerror}): give the path of a Python file."
        ) from error
