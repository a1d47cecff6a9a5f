"""What a place that models come from can do, by the name of --model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal, Protocol

import torch
from torch import nn

Channels = tuple[float, float, float]
Tensors = Mapping[str, torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class NetworkSpec:
    """What a network is built for.

    Attributes:
        classes: number of outputs: of classes, or of regression's targets.
        image_size_px: side of the images.
        pixelwise: whether it predicts masks.
        drop_path: highest probability of dropping a residual path (``--drop-path``); None for the
            model's own.
    """

    classes: int
    image_size_px: int
    pixelwise: bool = False
    drop_path: float | None = None


@dataclass(frozen=True, kw_only=True)
class WeightsInput:
    """The input that weights were trained with.

    Attributes:
        mean, std: per RGB channel, in fractions of 255.
        interpolation: "bilinear" or "bicubic".
        image_size_px: side of the images.
    """

    mean: Channels
    std: Channels
    interpolation: Literal["bilinear", "bicubic"]
    image_size_px: int


@dataclass(frozen=True, kw_only=True)
class KnownWeights:
    """Published weights of a model.

    Attributes:
        title: how messages name them.
        url: of their file.
        file_name: of the file in the cache of torch.hub, by which a copy is known, too.
        hash_prefix: first digits of its SHA-256; None if they are not published.
        cached: where another program keeps the file; None if it does not.
    """

    title: str
    url: str
    file_name: str
    input: WeightsInput
    hash_prefix: str | None = None
    cached: str | None = None


@dataclass(frozen=True, kw_only=True)
class Constructor:
    """The public function of a library that builds a network.

    Attributes:
        function: its full name, such as "torchvision.models.get_model".
        arguments: plain data.
    """

    function: str
    arguments: Mapping[str, Any]

    def call(self) -> nn.Module:
        """The network, with random weights."""
        module, _, name = self.function.rpartition(".")
        network: nn.Module = getattr(import_module(module), name)(**self.arguments)
        return network


class Unpublished:
    """The part of a ``ModelSource`` whose models only this trainer's code or the user's builds, and
    for which nobody publishes weights."""

    def constructor(self, spec: NetworkSpec) -> None:
        return None

    def known_weights(self) -> Sequence[KnownWeights]:
        return ()

    def fit(self, weights: Tensors, network: nn.Module, *, image_size_px: int) -> Tensors:
        return weights


class ModelSource(Protocol):
    """A model by its name, of one of the places that models come from."""

    @property
    def name(self) -> str:
        """As ``--model`` gives it."""

    @property
    def identity(self) -> str:
        """What a checkpoint and the run that resumes from it must have in common."""

    @property
    def is_known(self) -> bool:
        """Whether its networks train all their parameters and return the same in training and
        evaluation, so that this need not be tried."""

    def build(self, spec: NetworkSpec) -> nn.Module:
        """The network, with random weights: float (B, 3, H, W) -> (B, classes); for masks
        (B, classes, H, W), or a dict of this as "out" and, in training, as "aux".

        Raises ``MisuseError`` if there is no such model, or it has no paths to drop.
        """

    def constructor(self, spec: NetworkSpec) -> Constructor | None:
        """What builds the same layers without this trainer; None if only its code does."""

    def known_weights(self) -> Sequence[KnownWeights]:
        """Published weights, those of ``--pretrained imagenet`` first."""

    def fit(self, weights: Tensors, network: nn.Module, *, image_size_px: int) -> Tensors:
        """Weights from a file under the names and in the shapes of `network`, as far as it is known
        how: of other versions, image sizes and heads that `network` lacks.

        Raises ``DataError`` if they can't be those of this model.
        """

    def layers(self, network: nn.Module) -> Mapping[str, int] | None:
        """Parameter name -> number of its layer, from 0 at the input; None if the order is
        unknown."""
