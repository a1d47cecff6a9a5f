"""How images were prepared for the training of weights: what ``--pretrained`` weights expect."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Channels = tuple[float, float, float]

# With its weights torchvision turns on transform_input, which replaces ImageNet's mean and
# deviation by these; this trainer's networks are built without it.
_INCEPTIONS = ("googlenet", "inception_v3")
_HALF = (0.5, 0.5, 0.5)


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


def torchvision_input(entry: Any, model: str) -> WeightsInput:
    """The input of torchvision's weights `entry` of `model`, by the transform that belongs to
    them."""
    transform = entry.transforms()
    size = getattr(transform, "crop_size", transform.resize_size)
    halves = model in _INCEPTIONS
    return WeightsInput(
        mean=_HALF if halves else _channels(transform.mean),
        std=_HALF if halves else _channels(transform.std),
        interpolation=transform.interpolation.value,
        image_size_px=int(size[0]),
    )


def run_input(config: Mapping[str, Any], path: Path) -> WeightsInput | None:
    """The input of a run of this trainer, of whose checkpoint `path` the settings are `config`;
    None if neither they nor config.json beside the file record it, as in earlier versions."""
    resolved = config.get("resolved")
    if not resolved:
        with suppress(OSError, ValueError, LookupError):
            resolved = json.loads((path.parent / "config.json").read_text("utf-8"))["resolved"]
    if not resolved:
        return None
    bilinear = config.get("interpolation", "auto") == "auto"
    return WeightsInput(
        mean=_channels(resolved["mean"]),
        std=_channels(resolved["std"]),
        interpolation="bilinear" if bilinear else config["interpolation"],
        image_size_px=resolved["image_size_px"],
    )


def recorded_input(config: Mapping[str, Any]) -> WeightsInput | None:
    """What a checkpoint with the settings `config` records about the weights that its run started
    from; None if nothing."""
    recorded = config.get("resolved", {}).get("weights_input")
    return None if recorded is None else WeightsInput(**recorded)


def _channels(values: Any) -> Channels:
    red, green, blue = map(float, values)
    return red, green, blue
