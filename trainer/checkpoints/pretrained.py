"""Initial weights from a state dict of another training (``--pretrained``)."""

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from pipeline.errors import DataError
from trainer.checkpoints.checkpoint_file import LOAD_ERRORS

Weights = Mapping[str, torch.Tensor]

# Most names that a message lists.
_NAMED = 3
# What DDP and torch.compile add to names.
_PREFIXES = re.compile(r"^(module\.|_orig_mod\.)+")


def load_pretrained(network: nn.Module, path: Path) -> str:
    """Load the weights of `network` from the state dict in `path`; return a sentence about it.

    The file may also be a checkpoint of the trainer, of which the averaged weights are preferred,
    and names may have the prefixes of DDP or torch.compile. No code from the file is run. Layers
    that output classes keep their random weights if the number of classes differs.

    Raises ``DataError`` if the file cannot be read or other weights do not match.
    """
    weights, initial = _read(path), network.state_dict()
    head = _find_head(initial, weights)
    shared = [name for name in initial if name in weights and name not in head]
    problems = {
        "missing keys": [name for name in initial if name not in weights],
        "unexpected keys": [name for name in weights if name not in initial],
        "other shapes": [
            f"{name} {tuple(weights[name].shape)} instead of {tuple(initial[name].shape)}"
            for name in shared
            if weights[name].shape != initial[name].shape
        ],
    }
    for problem, names in problems.items():
        if names:
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            raise DataError(
                f"--pretrained {path} does not match --model: {problem} "
                f"{', '.join(names[:_NAMED])}{more}."
            )
    network.load_state_dict({**initial, **{name: weights[name] for name in shared}})
    if not head:
        return f"Loaded weights from {path}."
    classes = len(weights[head[0]])
    return (
        f"Loaded weights from {path}, except {', '.join(head)}: {classes} classes in the file, "
        f"{len(initial[head[0]])} in the shards."
    )


def _find_head(initial: Weights, weights: Weights) -> list[str]:
    """Names of the tensors that differ only in the number of classes, their first dimension: those
    of the last layer and of the auxiliary head of a segmentation model."""
    matrices = [name for name, tensor in initial.items() if tensor.ndim > 1]
    if not matrices or matrices[-1] not in weights:
        return []
    classes = initial[matrices[-1]].shape[:1], weights[matrices[-1]].shape[:1]
    if classes[0] == classes[1]:
        return []
    return [
        name
        for name, tensor in initial.items()
        if name in weights
        and (tensor.shape[:1], weights[name].shape[:1]) == classes
        and (tensor.ndim, tensor.shape[1:]) == (weights[name].ndim, weights[name].shape[1:])
    ]


def _read(path: Path) -> dict[str, torch.Tensor]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except LOAD_ERRORS as error:
        reason = error.strerror if isinstance(error, OSError) else "damaged, or not a state dict"
        raise DataError(f"--pretrained: cannot read {path} ({reason}).") from error
    if isinstance(state, dict):
        state = state.get("ema") or state.get("network") or state.get("state_dict") or state
    if not isinstance(state, dict) or not all(
        isinstance(value, torch.Tensor) for value in state.values()
    ):
        raise DataError(f"--pretrained {path} holds no state dict (names and tensors).")
    return {_PREFIXES.sub("", name): tensor for name, tensor in state.items()}
