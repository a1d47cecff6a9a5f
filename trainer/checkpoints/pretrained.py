"""Initial weights from a state dict of another training (``--pretrained``)."""

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pipeline.errors import DataError
from trainer.checkpoints.matching import Tensors, find_mismatch
from trainer.checkpoints.pretrained_source import WeightsSource
from trainer.checkpoints.stored_file import DamagedFileError, read_tensors
from trainer.checkpoints.weights_input import run_input
from trainer.model.sources.source import ModelSource, WeightsInput

# Entries of files that hold a state dict, the preferred first: this trainer's, torchvision's
# references' and others'.
_ENTRIES = ("ema", "network", "model_ema", "model", "state_dict")
# Number of averaged weights, beside them in "model_ema".
_AVERAGED = "n_averaged"
# What DDP and torch.compile add to names.
_PREFIXES = re.compile(r"^(module\.|_orig_mod\.)+")
# Counters of batch norms, which files from before torch 0.4.1 lack.
_COUNTER = "num_batches_tracked"


def load_pretrained(
    network: nn.Module,
    source: WeightsSource,
    *,
    model: ModelSource,
    head: Collection[str],
    image_size_px: int,
) -> tuple[WeightsInput | None, str]:
    """Load the weights of `network` from the file of `source`; return the input that they expect,
    None if it is unknown, and a sentence about them.

    The file holds a state dict, also as safetensors, or is a checkpoint of the trainer or of
    torchvision's references, of which the averaged weights are preferred; names may have the
    prefixes of DDP or torch.compile. No code from the file is run. Position embeddings of a ViT are
    interpolated to its image size, `image_size_px`.

    Args:
        model: where the network comes from.
        head: names of parameters, which keep their random weights if the number of classes
            differs.

    Raises ``DataError`` if the file cannot be read or other weights do not match.
    """
    state = _read(source.path)
    stored, initial = _state_dict(state, source.path), network.state_dict()
    weights = model.fit(stored, network, image_size_px=image_size_px)
    remade = [
        name for name in initial if name in head and _differ_in_classes(name, initial, weights)
    ]
    _require_match(source.path, initial, weights, remade)
    with torch.no_grad():
        for name, tensor in initial.items():
            if name in weights and name not in remade:
                tensor.copy_(weights[name])
    expected = None
    if source.entry:
        expected = source.entry.input
    elif isinstance(state.get("config"), dict):
        expected = run_input(state["config"], source.path)
    if not remade:
        return expected, f"Loaded weights from {source.title}."
    classes = len(weights[remade[0]])
    return expected, (
        f"Loaded weights from {source.title}, except {', '.join(remade)}: {classes} classes in the "
        f"file, {len(initial[remade[0]])} in the shards."
    )


def _differ_in_classes(name: str, initial: Tensors, weights: Tensors) -> bool:
    """Whether a tensor differs, and only in its first dimension."""
    if name not in weights:
        return False
    ours, theirs = initial[name].shape, weights[name].shape
    return ours != theirs and ours[1:] == theirs[1:]


def _require_match(path: Path, initial: Tensors, weights: Tensors, remade: Collection[str]) -> None:
    expected = {
        name: tensor
        for name, tensor in initial.items()
        if name not in remade and (name in weights or not name.endswith(_COUNTER))
    }
    given = {name: tensor for name, tensor in weights.items() if name not in remade}
    if problem := find_mismatch(expected, given, converts=True):
        raise DataError(f"--pretrained {path} does not match --model: {problem}.")


def _read(path: Path) -> dict[str, Any]:
    try:
        state = read_tensors(path)
    except FileNotFoundError as error:
        raise DataError(
            f"--pretrained: cannot read {path} ({error.strerror}): give imagenet, a URL, or the "
            f"path of a state dict."
        ) from error
    except (OSError, DamagedFileError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise DataError(f"--pretrained: cannot read {path} ({reason}).") from error
    return state if isinstance(state, dict) else {"state_dict": state}


def _state_dict(state: Mapping[str, Any], path: Path) -> dict[str, torch.Tensor]:
    entries = [state[name] for name in _ENTRIES if isinstance(state.get(name), dict)]
    weights = next(filter(None, entries), state)
    if not all(isinstance(n, str) and isinstance(t, torch.Tensor) for n, t in weights.items()):
        raise DataError(f"--pretrained {path} holds no state dict (names and tensors).")
    return {_PREFIXES.sub("", name): weights[name] for name in weights if name != _AVERAGED}
