"""Samples as small squares for people. Runs in worker processes, which may die."""

import os
import sys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.images.codec import Pixels
from tools.images.decoding import UnsoundImageError, decode, validate_header
from tools.images.stderr_capture import StderrCapture
from tools.workers import WorkerDiedError, Workers, time_limit
from tools.writing.block_encoding import IMAGE_SECONDS

# Up to this side pixels are shown as squares.
_PIXELATED_PX = 64
# How much of a mask's color lies over the image.
_BLEND = 0.5


@dataclass(frozen=True, kw_only=True)
class ThumbnailTask:
    """A sample: SAMPLE_DTYPE `row`, by task MASK_DTYPE `mask`, and the tar it is in; `side_px` of
    the square; RGB `colors` of the mask's classes, None for what is left as it is."""

    tar: Path
    row: NDArray[np.void]
    mask: NDArray[np.void] | None
    side_px: int
    colors: Sequence[tuple[int, int, int] | None] = ()


def thumbnail(task: ThumbnailTask) -> Pixels | None:
    """RGB uint8 (side, side, 3), white where nothing is; None if the sample is damaged."""
    try:
        with StderrCapture() as stderr, task.tar.open("rb") as file:
            image = _color(_decode(file.fileno(), task.row, stderr))
            if task.mask is not None:
                mask = _decode(file.fileno(), task.mask, stderr)
                if mask.shape != image.shape[:2]:
                    return None
                image = _blended(image, mask, task.colors)
    except (OSError, OverflowError, UnsoundImageError):
        return None
    return square(image, task.side_px)


def rescue(task: ThumbnailTask, workers: Workers) -> Pixels | None:
    """The result of a task during which processes died."""
    try:
        return workers.alone(thumbnail, task)
    except WorkerDiedError:
        return None


def square(image: Pixels, side_px: int) -> Pixels:
    """Fit RGB (h, w, 3) into a square: a large image's middle, a small one's every pixel."""
    height, width = image.shape[:2]
    if max(height, width) <= min(_PIXELATED_PX, side_px):
        factor = side_px // max(height, width)
        return _framed(image.repeat(factor, 0).repeat(factor, 1), side_px)
    cut = min(height, width)
    top, left = (height - cut) // 2, (width - cut) // 2
    middle = image[top : top + cut, left : left + cut]
    interpolation = cv2.INTER_AREA if cut >= side_px else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(middle, (side_px, side_px), interpolation=interpolation), np.uint8)


def _framed(image: Pixels, side_px: int) -> Pixels:
    height, width = image.shape[:2]
    out = np.full((side_px, side_px, 3), 255, np.uint8)
    top, left = (side_px - height) // 2, (side_px - width) // 2
    out[top : top + height, left : left + width] = image
    return out


def _decode(file: int, row: NDArray[np.void], stderr: StderrCapture) -> NDArray[Any]:
    data = os.pread(file, int(row["size"]), int(row["offset"]))
    if zlib.crc32(data) != row["crc32"]:
        raise UnsoundImageError("it is not what was written")
    with time_limit(IMAGE_SECONDS):
        return decode(data, validate_header(data, sys.maxsize), stderr)


def _color(pixels: NDArray[Any]) -> Pixels:
    code = cv2.COLOR_GRAY2RGB if pixels.ndim == 2 else cv2.COLOR_BGR2RGB
    return np.asarray(cv2.cvtColor(pixels, code), np.uint8)


def _blended(
    image: Pixels, mask: NDArray[np.uint8], colors: Sequence[tuple[int, int, int] | None]
) -> Pixels:
    out = image.copy()
    for value, color in enumerate(colors):
        if color is not None:
            shown = mask == value
            mixed = image[shown] * (1 - _BLEND) + np.array(color) * _BLEND
            out[shown] = mixed.astype(np.uint8)
    return out
