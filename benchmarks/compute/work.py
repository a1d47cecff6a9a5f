"""Floating point operations and memory traffic of a training step."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

# Batch norm needs more than one image; the difference of two batch sizes is the cost of images.
_FEW, _MORE = 2, 4


@dataclass(frozen=True, kw_only=True)
class Work:
    """Of forward and backward: for each image, and for each step at any batch size (weights)."""

    flops_per_image: float
    bytes_per_image: float
    bytes_per_step: float

    def bytes_of(self, images: int) -> float:
        return self.bytes_per_image * images + self.bytes_per_step


class Traffic(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sums the bytes that operators read and write, without pointwise ones, which a good compiler
    fuses into others. A cache that holds a tensor between two operators is not considered."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        if not func.is_view and torch.Tag.pointwise not in func.tags:
            tensors = tree_leaves((args, kwargs, output))
            self.bytes += sum(leaf.nbytes for leaf in tensors if isinstance(leaf, torch.Tensor))
        return output


def count_work(
    model: nn.Module, *, image_size_px: int, device: torch.device, dtype: torch.dtype | None
) -> Work:
    """Run `model`, not compiled, on a few images. A multiply-add is two operations.

    Only convolutions and matrix products count (torch.utils.flop_counter): 24 GFLOP for ResNet-50
    at 224 px.
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
