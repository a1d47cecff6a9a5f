"""Copies to a device that wait for nothing, and the CUDA device of a thread."""

from collections.abc import Callable
from functools import partial

import torch


def to_device(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Copy `tensor` from host memory to `device` without waiting for the device.

    From pageable memory the copy to a GPU would wait. torch reuses the pinned memory only when the
    copy has passed.
    """
    if device.type != "cuda":
        return tensor.to(device, non_blocking=True)
    return tensor.pin_memory().to(device, non_blocking=True)


def with_index(device: torch.device) -> torch.device:
    """`device` with the number of its GPU: by default this thread's current one, which other
    threads don't know."""
    if device == torch.device("cuda"):
        return torch.device("cuda", torch.cuda.current_device())
    return device


def thread_start(device: torch.device) -> Callable[[], None] | None:
    """What a thread that may touch `device` does first; None for nothing.

    Each new thread has GPU 0 as its current device: on other ranks it would open a context there,
    which takes hundreds of MiB, and queue its waits there.
    """
    return partial(torch.cuda.set_device, device) if device.type == "cuda" else None
