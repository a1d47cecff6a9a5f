"""The checkpoint file: tensors and plain data, replaced atomically."""

import copy
import os
import pickle
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pipeline.errors import DataError

CHECKPOINT_NAME = "checkpoint.pt"
PARTIAL_SUFFIX = ".partial"
CHECKPOINT_VERSION = 2

# What torch.load raises for damaged files.
LOAD_ERRORS = (
    *(OSError, EOFError, RuntimeError, ValueError, TypeError, LookupError, AttributeError),
    pickle.UnpicklingError,
)


@dataclass(kw_only=True)
class Progress:
    """Progress of a run.

    Attributes:
        position: samples seen by all ranks.
        evaluated_position: position of the last evaluation.
        best: metrics of the best evaluation by name, with the loss, empty before the first
            evaluation.
        best_position: position of the best evaluation.
        evaluations_without_gain: number of evaluations after the best one.
        spent_seconds: time used of ``--max-minutes``; 0 without it.
    """

    position: int = 0
    evaluated_position: int = 0
    best: dict[str, float] = field(default_factory=dict)
    best_position: int | None = None
    evaluations_without_gain: int = 0
    spent_seconds: float = 0.0

    def add_evaluation(self, metrics: Mapping[str, float], *, is_gain: bool) -> None:
        """Record the `metrics` of an evaluation at the position, the best so far if `is_gain`."""
        self.evaluated_position = self.position
        self.evaluations_without_gain = 0 if is_gain else self.evaluations_without_gain + 1
        if is_gain:
            self.best, self.best_position = dict(metrics), self.position


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What a checkpoint and the run that resumes from it must have in common."""

    fingerprint: str
    seed: int
    model: str
    classes: int
    fold: str | None = None


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Content of a checkpoint file; `config` is the config.json of the run that saved it."""

    progress: Progress
    network: dict[str, torch.Tensor]
    optimizer: dict[str, Any]
    config: dict[str, Any]
    ema: dict[str, torch.Tensor] | None
    scaler: dict[str, Any]

    def restore(self, *, network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Load weights and momenta; learning rates and weight decay of `optimizer` stay."""
        network.load_state_dict(self.network)
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": self.optimizer, "param_groups": groups})


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
    partial = path.with_suffix(PARTIAL_SUFFIX)
    try:
        with partial.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        _sync_directory(path.parent)
    except OSError as error:
        raise write_error(path, error) from error


def link_file(source: Path, target: Path) -> None:
    """Replace `target` atomically by a hard link to `source`, or by a copy if links fail."""
    partial = target.with_suffix(PARTIAL_SUFFIX)
    partial.unlink(missing_ok=True)
    try:
        try:
            os.link(source, partial)
        except OSError:
            shutil.copyfile(source, partial)
        partial.replace(target)
    except OSError as error:
        raise write_error(target, error) from error
    finally:
        # rename() of two links to one file does nothing and leaves both.
        partial.unlink(missing_ok=True)


def write_error(path: Path, error: OSError) -> DataError:
    """The error for a file of the run that cannot be written."""
    return DataError(
        f"Cannot write {path} ({error.strerror}): free disk space, then repeat the command with "
        f"--out {path.parent}."
    )


def _sync_directory(directory: Path) -> None:
    """Make the names in `directory` survive a power failure."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _copy_to_host(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        # With the versions of layers that torch attaches to a state dict: MNASNet needs its own.
        copied = copy.copy(value)
        copied.update({key: _copy_to_host(entry) for key, entry in value.items()})
        return copied
    return value


def load_checkpoint(path: Path, identity: Identity) -> Checkpoint:
    """Read `path` into host memory without running code from the file.

    Raises ``DataError`` if the file cannot be read or has another identity.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if state["version"] != CHECKPOINT_VERSION:
            raise DataError(
                f"{path} has checkpoint version {state['version']!r}, but this version of "
                f"shardline reads {CHECKPOINT_VERSION}: resume with the version that wrote it."
            )
        _require_identity(path, state["identity"], identity)
        return Checkpoint(
            progress=Progress(**state["progress"]),
            network=state["network"],
            optimizer=state["optimizer"],
            config=state["config"],
            ema=state.get("ema"),
            scaler=state.get("scaler", {}),
        )
    except LOAD_ERRORS as error:
        reason = error.strerror if isinstance(error, OSError) else "damaged, or not a checkpoint"
        raise DataError(
            f"Cannot read {path} ({reason}): give another checkpoint to --resume, or start a new "
            f"run with another --out."
        ) from error


def _require_identity(path: Path, saved: Mapping[str, Any], identity: Identity) -> None:
    shards = "with other shards: give those with --shards"
    # Checkpoints of earlier versions have no fold.
    saved = {"fold": None, **saved}
    difference = {
        "fingerprint": shards,
        "seed": f"with another seed: give --seed {saved['seed']}",
        "model": f"with another model: give --model {saved['model']}",
        "classes": shards,
        "fold": "without a fold held out: omit --fold",
    }
    if saved["fold"]:
        difference["fold"] = f"with fold {saved['fold']} held out: give --fold {saved['fold']}"
    for name, value in asdict(identity).items():
        if saved[name] != value:
            raise DataError(
                f"{path} was saved {difference[name]}, or start a new run with another --out."
            )
