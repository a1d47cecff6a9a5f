"""Weights from a file of someone else's."""

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from pipeline.errors import DataError
from trainer.checkpoints.checkpoint_file import LOAD_ERRORS

_SHOWN = 3
# What DDP and torch.compile put before a name.
_PREFIXES = re.compile(r"^(module\.|_orig_mod\.)+")


def load_pretrained(network: nn.Module, path: Path) -> str:
    """Set the weights of `network` from the state dict in `path`; returns a sentence on it.

    Read without running code from the file; a checkpoint of ours (its average of the weights, where
    it holds one) serves, too, and names that DDP or torch.compile have prefixed. The layers that
    give classes keep their fresh weights where the number of classes is another.
    Raises ``DataError`` where the rest doesn't fit.
    """
    weights = _read(path)
    own = network.state_dict()
    head = _head(own, weights)
    missing = [name for name in own if name not in weights and name not in head]
    unknown = [name for name in weights if name not in own]
    others = [
        f"{name} {tuple(weights[name].shape)} instead of {tuple(own[name].shape)}"
        for name in own
        if name in weights and name not in head and weights[name].shape != own[name].shape
    ]
    for what, names in (
        ("lacks", missing),
        ("has, which the model lacks,", unknown),
        ("has in another shape", others),
    ):
        if names:
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            raise DataError(
                f"--pretrained {path} is not of this --model: it {what} "
                f"{', '.join(names[:_SHOWN])}{more}."
            )
    network.load_state_dict({name: own[name] if name in head else weights[name] for name in own})
    if head:
        theirs, ours = len(weights[head[0]]), len(own[head[0]])
        return (
            f"Weights from {path}, but for {', '.join(head)}: {theirs} classes there, {ours} here."
        )
    return f"Weights from {path}."


def _head(own: Mapping[str, torch.Tensor], weights: Mapping[str, torch.Tensor]) -> list[str]:
    """Names of the tensors that differ as those of the last layer do, by their first dimension, the
    classes: a model of segmentation may have an auxiliary head, too."""
    last = [name for name, tensor in own.items() if tensor.ndim > 1][-1:]
    if not last or last[0] not in weights or not weights[last[0]].ndim:
        return []
    classes = (len(own[last[0]]), len(weights[last[0]]))
    return [
        name
        for name, tensor in own.items()
        if name in weights
        and tensor.ndim > 0
        and weights[name].ndim == tensor.ndim
        and (len(tensor), len(weights[name])) == classes
        and weights[name].shape[1:] == tensor.shape[1:]
        and classes[0] != classes[1]
    ]


def _read(path: Path) -> dict[str, torch.Tensor]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except LOAD_ERRORS as error:
        reason = error.strerror if isinstance(error, OSError) else "damaged, or not a state dict"
        raise DataError(f"--pretrained {path} can't be read ({reason}).") from error
    if isinstance(state, dict):
        state = state.get("ema") or state.get("network") or state.get("state_dict") or state
    if not isinstance(state, dict) or not all(
        isinstance(value, torch.Tensor) for value in state.values()
    ):
        raise DataError(f"--pretrained {path} holds no state dict (names with tensors).")
    return {_PREFIXES.sub("", name): tensor for name, tensor in state.items()}
