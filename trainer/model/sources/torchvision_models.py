"""torchvision's models for classification and segmentation."""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlparse

import torchvision
from torch import nn
from torchvision.models.vision_transformer import VisionTransformer, interpolate_embeddings
from torchvision.ops import StochasticDepth

from pipeline.errors import DataError, MisuseError
from trainer.model.cifar_resnet import SMALL_RESNETS
from trainer.model.layers import layers_in_order
from trainer.model.sources.source import (
    Channels,
    Constructor,
    KnownWeights,
    NetworkSpec,
    Tensors,
    WeightsInput,
)

# torch's default. MobileNetV3's 0.01 keeps the initial statistics for thousands of steps; with the
# hundreds of steps of a run on masks, evaluations would predict one class everywhere.
BATCH_NORM_MOMENTUM = 0.1

# With its weights torchvision turns on transform_input, which replaces ImageNet's mean and
# deviation by these; this trainer's networks are built without it.
_INCEPTIONS = ("googlenet", "inception_v3")
_HALF = (0.5, 0.5, 0.5)
# Names in torchvision's files of DenseNets, such as denselayer1.norm.1.weight.
_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)")
# Auxiliary heads of GoogLeNet and Inception v3 in torchvision's files.
_AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")


@dataclass(frozen=True, kw_only=True)
class TorchvisionModel:
    """A model of torchvision."""

    name: str
    is_known: bool = True

    @property
    def identity(self) -> str:
        return self.name

    def build(self, spec: NetworkSpec) -> nn.Module:
        check_name(self.name, pixelwise=spec.pixelwise)
        network = self.constructor(spec).call()
        for module in network.modules() if spec.pixelwise else ():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = BATCH_NORM_MOMENTUM
        if spec.drop_path is not None:
            _set_drop_path(network, self.name, spec.drop_path)
        return network

    def constructor(self, spec: NetworkSpec) -> Constructor:
        arguments = {"name": self.name, "weights": None, "num_classes": spec.classes}
        arguments |= _arguments(self.name, spec)
        return Constructor(function="torchvision.models.get_model", arguments=arguments)

    def known_weights(self) -> Sequence[KnownWeights]:
        try:
            entries = torchvision.models.get_model_weights(self.name)
        except ValueError:
            return ()
        ordered = sorted(entries, key=lambda entry: entry is not entries.DEFAULT)
        return [_known(entry, self.name) for entry in ordered]

    def fit(self, weights: Tensors, network: nn.Module, *, image_size_px: int) -> Tensors:
        names = network.state_dict().keys()
        fitted = {_DENSENET.sub(r"\1\2", name): tensor for name, tensor in weights.items()}
        fitted = {
            name: tensor
            for name, tensor in fitted.items()
            if name in names or not name.startswith(_AUXILIARY)
        }
        if isinstance(network, VisionTransformer) and "encoder.pos_embedding" in fitted:
            try:
                fitted |= interpolate_embeddings(network.image_size, network.patch_size, fitted)
            except (ValueError, RuntimeError, TypeError) as error:
                raise DataError(
                    f"--pretrained: the position embeddings of the weights do not match --model "
                    f"({error})."
                ) from error
        return fitted

    def layers(self, network: nn.Module) -> Mapping[str, int] | None:
        is_classifier = self.name in torchvision.models.list_models(module=torchvision.models)
        return layers_in_order(network) if is_classifier else None


def check_name(name: str, *, pixelwise: bool) -> None:
    """Raise ``MisuseError`` unless torchvision, or the trainer for 32 px, has a model `name` for
    images, or for masks if `pixelwise`."""
    classifiers = [*torchvision.models.list_models(module=torchvision.models), *SMALL_RESNETS]
    segmenters = torchvision.models.list_models(module=torchvision.models.segmentation)
    if pixelwise:
        kind, names, other_names = "segmentation", segmenters, classifiers
        reason, examples = "these shards hold masks", segmenters
    else:
        kind, names, other_names = "classification", classifiers, segmenters
        reason, examples = "these shards hold no masks", ["resnet50"]
    if name in other_names:
        raise MisuseError(
            f"--model {name} is not a {kind} model, but {reason}: use one, such as "
            f"{', '.join(examples)}."
        )
    if name not in names:
        similar = difflib.get_close_matches(name, names) or examples[:1]
        raise MisuseError(
            f"--model {name}: no such {kind} model. Similar: {', '.join(similar)}. Models of timm "
            f"have the prefix timm/."
        )


def _arguments(name: str, spec: NetworkSpec) -> dict[str, Any]:
    if spec.pixelwise:
        # Download no weights of the backbone. LR-ASPP has no auxiliary head.
        return {"weights_backbone": None, "aux_loss": not name.startswith("lraspp")}
    if name in _INCEPTIONS:
        # Auxiliary heads would turn the output into a tuple.
        return {"aux_logits": False, "init_weights": True}
    if name.startswith(("resnet", "resnext", "wide_resnet")):
        # Initialize each block as the identity (Goyal et al. 2017, section 5.1).
        return {"zero_init_residual": True}
    if name.startswith("vit_"):
        return {"image_size": spec.image_size_px}
    if name.startswith("maxvit"):
        return {"input_size": (spec.image_size_px, spec.image_size_px)}
    return {}


def _set_drop_path(network: nn.Module, name: str, highest: float) -> None:
    """Scale the probabilities of stochastic depth, which rise from block to block, to `highest`."""
    paths = [module for module in network.modules() if isinstance(module, StochasticDepth)]
    largest = max((path.p for path in paths), default=0.0)
    if not largest:
        raise MisuseError(f"--drop-path: {name} has no paths to drop: leave it out.")
    for path in paths:
        path.p *= highest / largest


def _known(entry: Any, model: str) -> KnownWeights:
    """torchvision's weights `entry`, with the input of the transform that belongs to them."""
    transform, halves = entry.transforms(), model in _INCEPTIONS
    size = getattr(transform, "crop_size", transform.resize_size)
    path = PurePosixPath(urlparse(entry.url).path)
    return KnownWeights(
        title=str(entry),
        url=entry.url,
        file_name=path.name,
        # "resnet18-f37072fd.pth" has the first digits of its SHA-256.
        hash_prefix=path.stem.rpartition("-")[2],
        input=WeightsInput(
            mean=_HALF if halves else _channels(transform.mean),
            std=_HALF if halves else _channels(transform.std),
            interpolation=transform.interpolation.value,
            image_size_px=int(size[0]),
        ),
    )


def _channels(values: Iterable[Any]) -> Channels:
    red, green, blue = map(float, values)
    return red, green, blue
