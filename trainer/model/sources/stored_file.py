"""The file of a model of one's own that a run holds, which runs only if its user trusts it. Nothing
is executed here, and torch is not needed."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import DataError, MisuseError
from pipeline.storage.plain_files import read_plain
from trainer.files import MODEL_FILE_NAME
from trainer.model.sources.model_code import ModelCode, is_own_file, read_code

# Key of a ModelRecord in the resolved facts of config.json.
CONFIG_KEY = "model_file"


@dataclass(frozen=True, kw_only=True)
class ModelRecord:
    """What config.json says about a model of one's own.

    Attributes:
        file: the file's name when it was trained.
        function: the function in it.
        sha256: of its content.
    """

    file: str
    function: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Trust:
    """Which code the user of a command lets it run.

    Attributes:
        files: files that were given by --model, as FILE.py or FILE.py:FUNCTION.
        stored: whether the copies in the runs may be executed.
    """

    files: Sequence[str] = ()
    stored: bool = False


# Nothing of the runs is executed.
NO_TRUST = Trust()


def record_of(model: ModelCode) -> ModelRecord:
    """What a run records about its model."""
    return ModelRecord(file=model.path.name, function=model.function, sha256=model.sha256)


def trusted_code(directory: Path, record: ModelRecord, trust: Trust) -> ModelCode:
    """The code of the model of the run in `directory`: a file that was given, or the run's copy if
    that is trusted. Both must have the SHA-256 of the file that was trained with.

    Raises ``MisuseError`` if there is neither, ``DataError`` if the copy is missing or changed.
    """
    # FILE.py or FILE.py:FUNCTION.
    paths = [Path(f"{name.rpartition('.py')[0]}.py") for name in trust.files]
    copy = directory / MODEL_FILE_NAME
    codes = {path: read_code(path) for path in paths}
    if trust.stored:
        codes[copy] = _read_copy(copy)
    for path, code in codes.items():
        if hashlib.sha256(code).hexdigest() == record.sha256:
            name = f"{path}:{record.function}"
            return ModelCode(name=name, path=path, function=record.function, code=code)
    if trust.stored:
        raise DataError(
            f"{copy} is not the file that {directory} was trained with (another SHA-256 than "
            f"{CONFIG_KEY} in config.json): give that file by --model."
        )
    if paths:
        raise MisuseError(
            f"--model {', '.join(map(str, paths))} is not the file that {directory} was trained "
            f"with, {record.file}: its SHA-256 is not {record.sha256}. Give that file, or "
            f"--trust-model to run its copy {copy}, if you trust it."
        )
    raise MisuseError(
        f"{directory} was trained with a model of its own, {record.function} of {record.file}. "
        f"Loading it executes this file, and a run may come from elsewhere: give the file by "
        f"--model {record.file}, or --trust-model to execute {copy}, if you trust it."
    )


def trust_of(names: Sequence[str], *, stored: bool) -> Trust:
    """What the options --model and --trust-model of a command that loads runs say. Raises
    ``MisuseError`` unless each of `names` is that of a Python file."""
    for name in names:
        if not is_own_file(name):
            raise MisuseError(
                f"--model {name}: the run says which model it has; only the file of a model of "
                f"one's own is given again, as FILE.py."
            )
    return Trust(files=tuple(names), stored=stored)


def _read_copy(path: Path) -> bytes:
    try:
        return read_plain(path)
    except OSError as error:
        raise DataError(
            f"--trust-model: {path} can't be read ({error.strerror}): give the file by --model."
        ) from error
