"""How images were prepared for the training of weights: what ``--pretrained`` weights expect."""

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pipeline.errors import DataError
from pipeline.storage.plain_files import read_plain
from trainer.typed_values import record_from

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
    if not isinstance(resolved, dict) or not resolved:
        with suppress(OSError, ValueError, LookupError, TypeError, RecursionError):
            resolved = json.loads(read_plain(path.parent / "config.json"))["resolved"]
    if not isinstance(resolved, dict) or not resolved:
        return None
    interpolation = config.get("interpolation", "auto")
    names = ("mean", "std", "image_size_px")
    values = {name: resolved.get(name) for name in names}
    values["interpolation"] = "bilinear" if interpolation == "auto" else interpolation
    return _parse(values, path)


def recorded_input(config: Mapping[str, Any], path: Path) -> WeightsInput | None:
    """What the checkpoint `path` with the settings `config` records about the weights that its run
    started from; None if nothing."""
    resolved = config.get("resolved")
    recorded = resolved.get("weights_input") if isinstance(resolved, dict) else None
    return None if recorded is None else _parse(recorded, path)


def _parse(values: object, path: Path) -> WeightsInput:
    try:
        given = record_from(WeightsInput, values)
        if not all(map(math.isfinite, (*given.mean, *given.std))) or given.image_size_px < 1:
            raise ValueError("its numbers are out of range")
        return given
    except ValueError as error:
        raise DataError(
            f"{path} does not say what input its weights expect ({error}): give another checkpoint."
        ) from error


def _channels(values: Any) -> Channels:
    red, green, blue = map(float, values)
    return red, green, blue
