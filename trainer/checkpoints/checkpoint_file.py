"""The checkpoint file: tensors and plain data, replaced atomically."""

import copy
import math
import os
import shutil
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import torch
from torch import nn

from pipeline.errors import DataError
from trainer.checkpoints.matching import (
    copy_weights,
    dense_state,
    find_mismatch,
    find_state_mismatch,
)
from trainer.checkpoints.progress import Identity, Progress, parse_progress, require_identity
from trainer.checkpoints.stored_file import read_tensors, seal
from trainer.files import checkpoint_error, replaced, resume_advice, sync_folder, write_error
from trainer.typed_values import record_from, typed

CHECKPOINT_VERSION = 2

OPTIMIZERS = ("sgd", "adamw", "lars")
SCALER_KEYS = {*("scale", "growth_factor", "backoff_factor", "growth_interval", "_growth_tracker")}


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Content of the checkpoint file `path`; `config` is the config.json of the run that saved it.
    The tensors are held against a model by ``copy_weights`` and ``restore`` only."""

    path: Path
    progress: Progress
    network: dict[str, torch.Tensor]
    optimizer: dict[int, dict[str, torch.Tensor]]
    config: dict[str, Any]
    ema: dict[str, torch.Tensor] | None
    scaler: dict[str, Any]

    def progress_for(self, step: int) -> Progress:
        """The progress, for further steps of `step` samples."""
        if self.config.get("global_batch_size") != step:
            self.progress.step_origin = self.progress.position
        return self.progress

    def copy_weights(self, network: nn.Module, *, averaged: bool) -> None:
        """Copy the weights into `network`; if `averaged`, the averaged ones if there are some.

        Raises ``DataError`` if they do not match.
        """
        weights = self.ema if averaged and self.ema is not None else self.network
        if problem := find_mismatch(network.state_dict(), weights):
            raise self._error(f"does not match the model of this run: {problem}")
        copy_weights(network, weights)

    def restore(self, *, network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Load weights and momenta; learning rates and weight decay of `optimizer` stay.

        Raises ``DataError`` if weights, averaged weights or momenta do not match.
        """
        name, saved = type(optimizer).__name__.lower(), self.config.get("optimizer")
        if saved in OPTIMIZERS and saved != name:
            raise DataError(
                f"{self.path} was saved with another optimizer, whose state {name} can't use: give "
                f"--optimizer {saved}, or begin a new run from its weights with --pretrained "
                f"{self.path} and another --out."
            )
        if self.ema is not None and (problem := find_mismatch(network.state_dict(), self.ema)):
            raise self._error(f"has other averaged weights than this run: {problem}")
        has_frozen = bool(self.config.get("freeze_backbone_epochs")) or not all(
            parameter.requires_grad for parameter in network.parameters()
        )
        if problem := find_state_mismatch(optimizer, self.optimizer, has_frozen=has_frozen):
            raise self._error(f"does not match --optimizer {name} of this run: {problem}")
        self.copy_weights(network, averaged=False)
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": dense_state(self.optimizer), "param_groups": groups})

    def _error(self, problem: str) -> DataError:
        return DataError(f"{self.path} {problem}, or start a new run with another --out.")


def snapshot(
    *,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
    identity: Identity,
    config: Mapping[str, Any],
    ema: nn.Module | None = None,
    scaler: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Copy the state of a run to host memory, as the content of a checkpoint file.

    Args:
        network: torchvision's own module, which can load the entry of that name.
        ema: the same module with averaged weights.
        scaler: state dict of the loss scaler.
    """
    return {
        "version": CHECKPOINT_VERSION,
        "identity": asdict(identity),
        "progress": asdict(progress),
        "network": _copy_to_host(network.state_dict()),
        "ema": ema and _copy_to_host(ema.state_dict()),
        "scaler": dict(scaler or {}),
        "optimizer": _copy_to_host(optimizer.state_dict()["state"]),
        "config": dict(config),
    }


def write_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Replace `path` atomically: a killed process leaves either the old file or the new one.

    Raises ``DataError`` if the file cannot be written.
    """
    advice = resume_advice(path.parent)
    with replaced(path, advice) as partial, partial.open("w+b") as file:
        target: Any = _Target(file)
        try:
            torch.save(state, target)
        except RuntimeError as error:
            # torch reports a failed write as an error of its own.
            raise target.error or error from error
        seal(file)
        file.flush()
        os.fsync(file.fileno())
    try:
        sync_folder(path.parent)
    except OSError as error:
        raise write_error(path, error, advice) from error


class _Target:
    """A file for torch.save that keeps the first error of a write."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            return self._file.write(data)
        except OSError as error:
            self.error = self.error or error
            raise

    def flush(self) -> None:
        self._file.flush()


def link_file(source: Path, target: Path) -> None:
    """Replace `target` atomically by a hard link to `source`, or by a copy if links fail."""
    # rename() of two links to one file does nothing; ``replaced`` then removes the new one.
    with replaced(target, resume_advice(target.parent)) as partial:
        partial.unlink()
        try:
            os.link(source, partial)
        except OSError:
            shutil.copyfile(source, partial)


def _copy_to_host(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        # With the versions of layers that torch attaches to a state dict: MNASNet needs its own.
        copied = copy.copy(value)
        copied.update({key: _copy_to_host(entry) for key, entry in value.items()})
        return copied
    return value


def load_checkpoint(path: Path, identity: Identity, earlier: Collection[str] = ()) -> Checkpoint:
    """Read `path` into host memory without running code from the file; `earlier` as in
    ``require_identity``.

    Raises ``DataError`` if the file cannot be read, is damaged or has another identity.
    """
    try:
        state = read_tensors(path)
        if not isinstance(state, dict) or "version" not in state:
            raise ValueError("damaged, or not a checkpoint")
        if typed(int, state["version"]) != CHECKPOINT_VERSION:
            raise DataError(
                f"{path} has checkpoint version {state['version']!r}, but this version of "
                f"shardline reads {CHECKPOINT_VERSION}: resume with the version that wrote it."
            )
        require_identity(path, record_from(Identity, state.get("identity")), identity, earlier)
        config = typed(dict[str, Any], state.get("config"))
        step = config.get("global_batch_size")
        progress = parse_progress(state.get("progress"), step=step)
        return Checkpoint(path=path, config=config, progress=progress, **_tensors(state))
    except (OSError, ValueError) as error:
        raise checkpoint_error(path, error) from error


def _tensors(state: Mapping[str, Any]) -> dict[str, Any]:
    """The entries whose tensors are compared with the model later."""
    scaler = typed(dict[str, float | int], state.get("scaler", {}))
    if scaler and not (scaler.keys() == SCALER_KEYS and all(map(_is_scale, scaler.values()))):
        raise ValueError("its loss scale is not one of torch.amp.GradScaler")
    return {
        "network": typed(dict[str, Any], state.get("network")),
        "optimizer": typed(dict[int, dict[str, Any]], state.get("optimizer")),
        "ema": typed(dict[str, Any] | None, state.get("ema")),
        "scaler": dict(state.get("scaler", {})),
    }


def _is_scale(value: float) -> bool:
    return math.isfinite(value) and value >= 0
