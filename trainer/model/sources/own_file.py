"""A model of one's own, in a Python file: --model FILE.py:FUNCTION."""

import hashlib
import re
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import ModuleType

from torch import nn

from pipeline.errors import MisuseError
from pipeline.storage.plain_files import read_plain
from trainer.model.sources.source import KnownWeights, NetworkSpec, Tensors
from trainer.model.sources.timm_models import layers_by_matcher

_FORM = re.compile(r"(?P<path>.+\.py):(?P<function>[^:/]+)")


@dataclass(frozen=True, kw_only=True)
class OwnModel:
    """A function of a file, which is called with the number of classes or targets.

    The file is executed when a network is built: whoever makes an OwnModel trusts it.

    Attributes:
        path: the file that was read.
        code: its content.
    """

    name: str
    path: Path
    function: str
    code: bytes = field(repr=False)
    is_known: bool = False

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.code).hexdigest()

    @property
    def identity(self) -> str:
        """The file may be moved or renamed, but not changed."""
        return f"FILE.py:{self.function}, the file with the SHA-256 {self.sha256}"

    def build(self, spec: NetworkSpec) -> nn.Module:
        if spec.drop_path is not None:
            raise MisuseError(
                f"--drop-path: {self.name} sets its paths itself: leave it out, or write it there."
            )
        function = getattr(_module(self.name, self.path, self.code), self.function, None)
        if not callable(function):
            raise MisuseError(
                f"--model {self.name}: {self.path} has no function {self.function}: give one of "
                f"its functions."
            )
        try:
            network = function(spec.classes)
        except Exception as error:
            when = f"called with {spec.classes} outputs"
            raise _failure(self.name, self.path, error, when) from error
        if not isinstance(network, nn.Module):
            raise MisuseError(
                f"--model {self.name}: {self.function} returns {type(network).__name__}, not a "
                f"torch.nn.Module: return the network."
            )
        if not any(parameter.requires_grad for parameter in network.parameters()):
            raise MisuseError(f"--model {self.name} has no parameters to train: give it layers.")
        return network

    def constructor(self, spec: NetworkSpec) -> None:
        return None

    def known_weights(self) -> Sequence[KnownWeights]:
        return ()

    def fit(self, weights: Tensors, network: nn.Module, *, image_size_px: int) -> Tensors:
        return weights

    def layers(self, network: nn.Module) -> Mapping[str, int] | None:
        return layers_by_matcher(network)


def is_own_file(name: str) -> bool:
    """Whether a value of --model names a file."""
    return name.endswith(".py") or _FORM.fullmatch(name) is not None


def read_own_model(name: str) -> OwnModel:
    """Read the file of "FILE.py:FUNCTION", without executing it.

    Raises ``MisuseError`` if the function is missing or the file can't be read.
    """
    parts = _FORM.fullmatch(name)
    if parts is None:
        raise MisuseError(
            f"--model {name} names no function: give {name}:FUNCTION, where FUNCTION takes the "
            f"number of classes and returns a torch.nn.Module."
        )
    path = Path(parts["path"])
    return OwnModel(name=name, path=path, function=parts["function"], code=read_code(path))


def read_code(path: Path) -> bytes:
    """The content of a file of --model. Raises ``MisuseError`` if it can't be read."""
    try:
        return read_plain(path)
    except OSError as error:
        raise MisuseError(
            f"--model {path} can't be read ({error.strerror}): give the path of a Python file."
        ) from error


@lru_cache
def _module(name: str, path: Path, code: bytes) -> ModuleType:
    """Execute the file, once in a process."""
    module = ModuleType(f"model_{hashlib.sha256(code).hexdigest()[:16]}")
    module.__file__ = str(path)
    # Classes find their module there when they are copied or compiled.
    sys.modules[module.__name__] = module
    try:
        exec(compile(code, str(path), "exec"), vars(module))
    except (Exception, SystemExit) as error:
        raise _failure(name, path, error, "imported") from error
    return module


def _failure(name: str, path: Path, error: BaseException, when: str) -> MisuseError:
    """The error of a file that fails when it is `when`, with its line."""
    frames = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == str(path)
    ]
    line = error.lineno if isinstance(error, SyntaxError) else (frames or [None])[-1]
    place = f" in line {line}" if line else ""
    reason = error.msg if isinstance(error, SyntaxError) else error
    return MisuseError(
        f"--model {name}: {path} fails{place} when it is {when} "
        f"({type(error).__name__}: {reason}): correct the file."
    )
