"""The layers of a network in order, from its input to its output (``--layer-decay``)."""

from collections.abc import Iterator, Mapping

from torch import nn
from torchvision.models.maxvit import MaxVitBlock
from torchvision.models.vision_transformer import Encoder

# They hold layers; a subclass of Sequential is a layer, such as a convolution with its norm.
_CONTAINERS = (nn.Sequential, nn.ModuleList, Encoder, MaxVitBlock)


def layers_in_order(network: nn.Module) -> dict[str, int]:
    """Parameter name -> number of its layer, from 0, for a network that registers its layers in the
    order in which they run, as torchvision's do.

    A layer is a block, or whatever else stands among the blocks. Norms belong to the layer before
    them, and parameters of the network itself, such as position embeddings, to the first layer.
    """
    numbers: dict[str, int] = {}
    number = -1
    for prefix, module in _layers(network, ""):
        parameters = dict(module.named_parameters(prefix=prefix))
        has_matrices = any(parameter.ndim > 1 for parameter in parameters.values())
        number += number < 0 or has_matrices
        numbers |= dict.fromkeys(parameters, number)
    return {name: numbers.get(name, 0) for name, _ in network.named_parameters()}


def _layers(module: nn.Module, prefix: str) -> Iterator[tuple[str, nn.Module]]:
    """Name and module of each layer with parameters."""
    for name, child in module.named_children():
        path = f"{prefix}{name}"
        if type(child) in _CONTAINERS:
            yield from _layers(child, f"{path}.")
        elif next(child.parameters(), None) is not None:
            yield path, child


def lr_factors(layers: Mapping[str, int], decay: float) -> dict[str, float]:
    """Parameter name -> factor of the learning rate: 1 in the last layer, `decay` times that of the
    next layer in each before it, as in the fine-tuning of BEiT (Bao et al. 2022,
    arXiv:2106.08254)."""
    last = max(layers.values(), default=0)
    return {name: decay ** (last - number) for name, number in layers.items()}
