"""Constants of a task as tensors."""

from functools import lru_cache

import torch

from pipeline.on_device import to_device


@lru_cache
def constant(values: tuple[float, ...], device: torch.device) -> torch.Tensor:
    """`values` as float32 on `device`, copied there once and without waiting for the device."""
    return to_device(torch.tensor(values), device)


def optional_constant(
    values: tuple[float, ...] | None, device: torch.device
) -> torch.Tensor | None:
    """``constant``, or None for None."""
    return None if values is None else constant(values, device)
