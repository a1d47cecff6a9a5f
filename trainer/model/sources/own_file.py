"""A model of one's own, in a Python file: --model FILE.py:FUNCTION."""

import hashlib
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType

from torch import nn

from pipeline.errors import MisuseError
from trainer.model.sources.model_code import ModelCode, read_model_code
from trainer.model.sources.source import NetworkSpec, Unpublished
from trainer.model.sources.timm_models import layers_by_matcher


@dataclass(frozen=True, kw_only=True)
class OwnModel(Unpublished, ModelCode):
    """A function of a file, which is called with the number of classes or targets.

    The file is executed when a network is built: whoever makes an OwnModel trusts it.
    """

    is_known: bool = False

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

    def layers(self, network: nn.Module) -> Mapping[str, int] | None:
        return layers_by_matcher(network)


def read_own_model(name: str) -> OwnModel:
    """The model of "FILE.py:FUNCTION"; raises ``MisuseError`` as ``read_model_code`` does."""
    return OwnModel(**vars(read_model_code(name)))


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
