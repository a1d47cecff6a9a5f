"""Checkpoints: tensors and plain data in one file, replaced atomically."""

import os
import pickle
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

# What torch.load raises on damaged bytes is whatever the bytes lead it to.
LOAD_ERRORS = (
    OSError,
    EOFError,
    RuntimeError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    pickle.UnpicklingError,
)


@dataclass(kw_only=True)
class Progress:
    """How far a run has come.

    `evaluated_position` is that of the last evaluation; `best` are the metrics of the best one, by
    name, empty before the first; `best_position` is where that was. `spent_seconds` are those of
    a deadline, 0 without one.
    """

    position: int = 0
    evaluated_position: int = 0
    best: dict[str, float] = field(default_factory=dict)
    best_position: int | None = None
    spent_seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What must be the same for a checkpoint to be gone on from."""

    fingerprint: str
    seed: int
    model: str
    classes: int


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """What a file held; `config` is the plain data that it was saved with."""

    progress: Progress
    network: dict[str, torch.Tensor]
    optimizer: dict[str, Any]
    config: dict[str, Any]
    ema: dict[str, torch.Tensor] | None
    scaler: dict[str, Any]


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
    """What a checkpoint holds, copied to host memory: the next step may change the originals.

    `network` is torchvision's own module: the entry of that name is a state dict it can load.
    `ema` is another that holds the average of the weights, `scaler` the state of
    float16's.
    """
    return {
        "version": CHECKPOINT_VERSION,
        "identity": asdict(identity),
        "progress": asdict(progress),
        "network": _copied(network.state_dict()),
        "ema": ema and _copied(ema.state_dict()),
        "scaler": dict(scaler or {}),
        "optimizer": _copied(optimizer.state_dict()["state"]),
        "config": dict(config),
    }


def write_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Replace `path` in one move: whoever is killed leaves the old file or the new one whole."""
    partial = path.with_suffix(PARTIAL_SUFFIX)
    try:
        with partial.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        _sync_directory(path.parent)
    except OSError as error:
        raise DataError(
            f"{path} can't be written ({error.strerror}): make room, then go on with --resume."
        ) from error


def _sync_directory(directory: Path) -> None:
    """Let the names in `directory` outlast a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _copied(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {key: _copied(entry) for key, entry in value.items()}
    return value


def load_checkpoint(path: Path, identity: Identity) -> Checkpoint:
    """Read `path` into host memory, by torch's loader that runs no code from the file.

    Raises ``DataError`` if the file is unreadable or of another identity.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if state["version"] != CHECKPOINT_VERSION:
            raise DataError(
                f"{path} is of checkpoint version {state['version']!r}, this shardline reads "
                f"version {CHECKPOINT_VERSION}: resume with the shardline that wrote it."
            )
        _refuse_other(path, state["identity"], identity)
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
            f"{path} can't be read ({reason}): give another to --resume, or start anew with "
            f"another --out."
        ) from error


def restore(
    checkpoint: Checkpoint, *, network: nn.Module, optimizer: torch.optim.Optimizer
) -> None:
    """Set weights and momenta; rates and decay stay those that `optimizer` was built with."""
    network.load_state_dict(checkpoint.network)
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": checkpoint.optimizer, "param_groups": groups})


def _refuse_other(path: Path, saved: Mapping[str, Any], identity: Identity) -> None:
    shards = "with other shards: give those with --shards"
    difference = {
        "fingerprint": shards,
        "seed": f"with another seed: give --seed {saved['seed']}",
        "model": f"with another model: give --model {saved['model']}",
        "classes": shards,
    }
    for name, own in asdict(identity).items():
        if saved[name] != own:
            raise DataError(
                f"{path} was saved {difference[name]}, or start anew with another --out."
            )
