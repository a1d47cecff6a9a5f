"""The head of a network: the last layer, which outputs the classes; the rest is its backbone."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode


class _WithoutMemory(TorchFunctionMode):
    """Layers are built without memory for their weights, which ``torch.empty`` allocates, and
    without drawing initial values."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        on_meta = {"device": "meta"} if func is torch.empty else {}
        return func(*args, **{**(kwargs or {}), **on_meta})


def head_names(build: Callable[[int], nn.Module]) -> frozenset[str]:
    """Names of the parameters whose shape depends on the number of classes: those of the last
    layer, and of the auxiliary head of a segmentation model.

    Args:
        build: number of classes -> network.
    """
    with _WithoutMemory():
        shapes, others = (
            {name: parameter.shape for name, parameter in build(classes).named_parameters()}
            for classes in (2, 3)
        )
    return frozenset(name for name in shapes if shapes[name] != others[name])
