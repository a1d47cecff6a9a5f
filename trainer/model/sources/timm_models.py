"""timm's models for classification (https://github.com/huggingface/pytorch-image-models)."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlparse

from torch import nn

from pipeline.errors import MisuseError
from trainer.model.sources.source import (
    Channels,
    Constructor,
    KnownWeights,
    NetworkSpec,
    Tensors,
    WeightsInput,
)

PREFIX = "timm/"
# What timm's converters raise for weights of another model.
_NOT_THESE_WEIGHTS = (RuntimeError, LookupError, ValueError, TypeError, AttributeError)
# The file of a repository on the hub that timm's own weights have.
_HUB_FILE = "model.safetensors"


@dataclass(frozen=True, kw_only=True)
class TimmModel:
    """A model of timm: `name` is "timm/" and its name there, with a tag of its weights or without,
    such as timm/convnext_tiny.in12k_ft_in1k."""

    name: str
    is_known: bool = False

    @property
    def identity(self) -> str:
        return self.name

    def build(self, spec: NetworkSpec) -> nn.Module:
        if spec.pixelwise:
            raise MisuseError(
                f"--model {self.name} is a classification model, but these shards hold masks: use "
                f"a segmentation model, such as fcn_resnet50."
            )
        paths = {} if spec.drop_path is None else {"drop_path_rate": spec.drop_path}
        try:
            network = self._create(spec.image_size_px, num_classes=spec.classes, **paths)
        except TypeError as error:
            if spec.drop_path is None:
                raise
            raise self._no_paths() from error
        kinds = {type(module).__name__ for module in network.modules()}
        if spec.drop_path and "DropPath" not in kinds:
            raise self._no_paths()
        return network

    def constructor(self, spec: NetworkSpec) -> Constructor:
        arguments = self._arguments(spec.image_size_px) | {"num_classes": spec.classes}
        return Constructor(function="timm.create_model", arguments=arguments)

    def known_weights(self) -> Sequence[KnownWeights]:
        config = self._config()
        place = _place(config)
        if place is None:
            return ()
        url, file_name, cached = place
        return (
            KnownWeights(
                title=f"{PREFIX}{config.architecture}.{config.tag or 'default'}",
                url=url,
                file_name=file_name,
                cached=cached,
                input=WeightsInput(
                    mean=_channels(config.mean),
                    std=_channels(config.std),
                    interpolation="bilinear" if config.interpolation == "bilinear" else "bicubic",
                    image_size_px=int(config.input_size[-1]),
                ),
            ),
        )

    def fit(self, weights: Tensors, network: nn.Module, *, image_size_px: int) -> Tensors:
        """timm converts them as it does its own: it resizes position embeddings, and renames the
        weights of the authors of a model."""
        config = self._config()
        classes, offset = _classes_of(weights, config)
        source = {"state_dict": dict(weights), "num_classes": classes, "label_offset": offset}
        try:
            theirs = self._create(
                image_size_px,
                num_classes=classes,
                pretrained=True,
                pretrained_cfg_overlay={**source, "custom_load": False},
            )
        except _NOT_THESE_WEIGHTS:
            # What differs is then named as for any other weights.
            return weights
        return theirs.state_dict()

    def layers(self, network: nn.Module) -> Mapping[str, int] | None:
        return layers_by_matcher(network)

    def _create(self, image_size_px: int, **arguments: Any) -> nn.Module:
        network: nn.Module = _timm().create_model(**self._arguments(image_size_px), **arguments)
        return network

    def _arguments(self, image_size_px: int) -> dict[str, Any]:
        """Arguments of timm.create_model."""
        sizes = {"img_size": image_size_px} if self._config().fixed_input_size else {}
        return {"model_name": self.name.removeprefix(PREFIX), **sizes}

    def _config(self) -> Any:
        """timm's ``PretrainedCfg``. Raises ``MisuseError`` for an unknown name or tag."""
        models, name = _timm().models, self.name.removeprefix(PREFIX)
        try:
            config = models.get_pretrained_cfg(name)
        except RuntimeError:  # the tag
            config = None
        if config is None or not models.is_model(name):
            architecture = name.partition(".")[0]
            has_tag = models.is_model(architecture)
            names = models.list_models(f"{architecture}*" if has_tag else "", include_tags=has_tag)
            similar = difflib.get_close_matches(name, names) or ["convnext_tiny"]
            listed = ", ".join(PREFIX + other for other in similar)
            raise MisuseError(f"--model {self.name}: timm has no such model. Similar: {listed}.")
        return config

    def _no_paths(self) -> MisuseError:
        return MisuseError(f"--drop-path: {self.name} has no paths to drop: leave it out.")


def layers_by_matcher(network: nn.Module) -> Mapping[str, int] | None:
    """Parameter name -> number of its layer, by timm's patterns for it; None without them."""
    group_matcher: Any = getattr(network, "group_matcher", None)
    if group_matcher is None:
        return None
    group: Any = _timm().models.group_parameters
    numbers: Mapping[str, int] = group(network, group_matcher(coarse=False), reverse=True)
    return numbers


def _timm() -> Any:
    try:
        import timm
    except ModuleNotFoundError as error:
        raise MisuseError(
            f"--model {PREFIX}…: timm is not installed: pip install -c constraints.txt -e '.[timm]'"
        ) from error
    return timm


def _place(config: Any) -> tuple[str, str, str | None] | None:
    """URL and file name of the weights, and where the hub's library has cached them; None if there
    are none, or only in a format of their authors."""
    if config.hf_hub_id and config.custom_load != "hf":
        import huggingface_hub

        stored = config.hf_hub_filename or _HUB_FILE
        cached = huggingface_hub.try_to_load_from_cache(config.hf_hub_id, stored)
        name = f"{config.architecture}.{config.tag}" if config.tag else config.architecture
        return (
            huggingface_hub.hf_hub_url(config.hf_hub_id, stored),
            f"{name}{PurePosixPath(stored).suffix}",
            cached if isinstance(cached, str) else None,
        )
    url = config.url[0] if isinstance(config.url, tuple) else config.url
    if not url or config.custom_load:
        return None
    return url, PurePosixPath(urlparse(url).path).name, None


def _classes_of(weights: Tensors, config: Any) -> tuple[int, int]:
    """Number of classes of weights, and how many classes before them timm leaves out."""
    heads = (config.classifier,) if isinstance(config.classifier, str) else config.classifier or ()
    rows = [len(weights[name]) for head in heads if (name := f"{head}.weight") in weights]
    offset = config.label_offset or 0
    if not rows or rows[0] == config.num_classes + offset:
        return config.num_classes, offset
    return rows[0], 0


def _channels(values: Sequence[float]) -> Channels:
    red, green, blue = map(float, values)
    return red, green, blue
