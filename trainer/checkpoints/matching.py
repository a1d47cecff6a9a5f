"""Holds tensors from a file against those of a model and its optimizer, before they are used."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from trainer.optim.lars import LARS

Tensors = Mapping[str, torch.Tensor]

# Types that ``copy_`` converts.
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
# Most names that a message lists.
_NAMED = 3


def list_names(names: list[str]) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def find_mismatch(expected: Tensors, given: object, *, converts: bool = False) -> str | None:
    """What in `given` differs from a mapping with the names, shapes and types of `expected`; None
    if nothing does.

    Args:
        converts: whether other floating types are accepted, as ``copy_`` converts them.
    """
    if not isinstance(given, Mapping):
        return f"{type(given).__name__} instead of names and tensors"
    problems = {
        "missing keys": [name for name in expected if name not in given],
        "unexpected keys": [str(name) for name in given if name not in expected],
        "other shapes": [],
        "other types": [],
        "nan or inf in": [],
    }
    for name, tensor in expected.items():
        if name not in given:
            continue
        other = given[name]
        if kind := _other_kind(tensor, other, converts=converts):
            problems["other types"].append(f"{name} {kind}")
        elif tensor.shape != other.shape:
            shapes = f"{tuple(other.shape)} instead of {tuple(tensor.shape)}"
            problems["other shapes"].append(f"{name} {shapes}")
        elif other.is_floating_point() and not torch.isfinite(other).all():
            problems["nan or inf in"].append(name)
    found = (f"{problem} {list_names(names)}" for problem, names in problems.items() if names)
    return next(found, None)


def copy_weights(network: nn.Module, weights: Tensors) -> None:
    """Copy `weights`, which match, into `network`."""
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            tensor.copy_(weights[name])


def find_state_mismatch(
    optimizer: torch.optim.Optimizer, state: object, *, has_frozen: bool
) -> str | None:
    """What in `state`, parameter number -> name -> tensor, `optimizer` can't have saved; None if
    nothing.

    Args:
        has_frozen: whether parameters may have no state, because they have not been trained.
    """
    if not isinstance(state, Mapping):
        return f"{type(state).__name__} instead of a state for each parameter"
    numbered: dict[int, tuple[torch.Tensor, dict[str, Any]]] = {}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            numbered[len(numbered)] = parameter, group
    for number in state:
        if type(number) is not int or number not in numbered:
            return f"unexpected parameter {number!r}"
    for number, (parameter, group) in numbered.items():
        expected = _expected_state(optimizer, parameter, group)
        given = state.get(number, {})
        if not given and (has_frozen or not expected):
            continue
        if problem := find_mismatch(expected, given):
            return f"parameter {number}: {problem}"
    return None


def dense_state(state: Mapping[int, Tensors]) -> dict[int, dict[str, torch.Tensor]]:
    """The `state` in memory of its own: no two elements of a tensor share a place."""
    return {
        number: {name: _dense(tensor) for name, tensor in entry.items()}
        for number, entry in state.items()
    }


def _dense(tensor: torch.Tensor) -> torch.Tensor:
    is_images = tensor.ndim == 4 and tensor.is_contiguous(memory_format=torch.channels_last)
    return tensor if is_images else tensor.contiguous()


def _expected_state(
    optimizer: torch.optim.Optimizer, parameter: torch.Tensor, group: Mapping[str, Any]
) -> dict[str, torch.Tensor]:
    """What `optimizer` saves for a parameter after a step."""
    like = torch.empty_like(parameter, device="meta")
    if isinstance(optimizer, torch.optim.AdamW):
        step = torch.empty((), device="meta")
        return {"step": step, "exp_avg": like, "exp_avg_sq": like}
    has_momentum = isinstance(optimizer, LARS) or group["momentum"] != 0
    return {"momentum_buffer": like} if has_momentum else {}


def _other_kind(tensor: torch.Tensor, other: object, *, converts: bool) -> str | None:
    """How `other` is not like `tensor`; None if it is a dense tensor of its type."""
    if not isinstance(other, torch.Tensor):
        return f"is {type(other).__name__}, not a tensor"
    if other.layout is not torch.strided or other.is_quantized or other.device.type != "cpu":
        return f"is not dense ({other.layout}, {other.device})"
    is_converted = converts and {tensor.dtype, other.dtype} <= {*_FLOATS}
    if other.dtype != tensor.dtype and not is_converted:
        return f"{other.dtype} instead of {tensor.dtype}"
    return None
