"""How images were prepared for the training of weights: what ``--pretrained`` weights expect."""

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipeline.errors import DataError
from pipeline.storage.plain_files import read_plain
from trainer.model.sources.source import WeightsInput
from trainer.typed_values import record_from


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
