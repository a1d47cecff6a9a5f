"""How much a step must compute and move: what a device's peaks are compared with."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

# Batch norm needs more than one image; two counts tell an image's part from a step's.
_FEW, _MORE = 2, 4


@dataclass(frozen=True, kw_only=True)
class Work:
    """Of forward and backward; an image's part and, whatever the batch, a step's (weights)."""

    flops_per_image: float
    bytes_per_image: float
    bytes_per_step: float

    def bytes_of(self, images: int) -> float:
        return self.bytes_per_image * images + self.bytes_per_step


class Traffic(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the bytes that operators read and write, pointwise ones left out: a good compiler
    fuses those into their neighbors. Caches that keep a tensor between two operators would make
    it less."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        if not func.is_view and torch.Tag.pointwise not in func.tags:
            tensors = tree_leaves((args, kwargs, found))
            self.bytes += sum(each.nbytes for each in tensors if isinstance(each, torch.Tensor))
        return found


def count_work(
    model: nn.Module, *, image_size_px: int, device: torch.device, dtype: torch.dtype | None
) -> Work:
    """By running `model`, not compiled, on a few images; multiplying and adding are two operations.

    Convolutions and matrix products count (torch.utils.flop_counter): 24 GFLOP for ResNet-50 at
    224 px.
    """
    flops, moved = {}, {}
    for count in (_FEW, _MORE):
        shape = (count, 3, image_size_px, image_size_px)
        images = torch.zeros(shape, dtype=torch.uint8, device=device)
        with FlopCounterMode(display=False) as counter:
            _forward_and_backward(model, images, dtype)
        with Traffic() as traffic:
            _forward_and_backward(model, images, dtype)
        flops[count], moved[count] = counter.get_total_flops(), traffic.bytes
    bytes_per_image = (moved[_MORE] - moved[_FEW]) / (_MORE - _FEW)
    return Work(
        flops_per_image=(flops[_MORE] - flops[_FEW]) / (_MORE - _FEW),
        bytes_per_image=bytes_per_image,
        bytes_per_step=max(moved[_FEW] - _FEW * bytes_per_image, 0),
    )


def _forward_and_backward(
    model: nn.Module, images: torch.Tensor, dtype: torch.dtype | None
) -> None:
    images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.zeros(len(images), dtype=torch.int64, device=images.device)
    with torch.autocast(images.device.type, dtype, enabled=dtype is not None):
        logits = model(images)
    cross_entropy(logits.float(), labels).backward()  # type: ignore[no-untyped-call]
    model.zero_grad(set_to_none=True)
