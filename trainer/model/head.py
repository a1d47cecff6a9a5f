"""The head of a network: the last layer, which outputs the classes; the rest is its backbone."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from trainer.model.sources.source import ModelSource, NetworkSpec


class _WithoutMemory(TorchFunctionMode):
    """Layers are built without memory for their weights, which ``torch.empty`` allocates, and
    without drawing initial values."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        on_meta = {"device": "meta"} if func is torch.empty else {}
        return func(*args, **{**(kwargs or {}), **on_meta})


def find_head(source: ModelSource, network: nn.Module, spec: NetworkSpec) -> frozenset[str]:
    """Names of the parameters of the last layer of `network`, which `source` built by `spec`: what
    timm's networks call their classifier, else ``head_names``; empty if there is none."""
    get_classifier: Any = getattr(network, "get_classifier", None)
    if get_classifier is None:
        return head_names(lambda classes: source.build(replace(spec, classes=classes)))
    classifier = get_classifier()
    layers = classifier if isinstance(classifier, tuple | list) else (classifier,)
    weights = {weight for layer in layers for weight in layer.parameters()}
    return frozenset(name for name, weight in network.named_parameters() if weight in weights)


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
