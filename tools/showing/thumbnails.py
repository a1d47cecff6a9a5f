"""The samples of a contact sheet as small pictures, made in worker processes, which may die."""

import os
import sys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.chart_style import CYCLE
from tools.images.codec import Pixels
from tools.images.decoding import UnsoundImageError, decode, validate_header
from tools.images.guards import StderrCapture
from tools.showing.dataset_summary import DatasetSummary
from tools.workers import WorkerDiedError, Workers, time_limit
from tools.writing.block_encoding import IMAGE_SECONDS, prepare_worker

# Images up to this side are drawn with every pixel as a square.
_PIXELATED_PX = 64


@dataclass(frozen=True, kw_only=True)
class ThumbnailTask:
    """A sample: SAMPLE_DTYPE `row`, by task MASK_DTYPE `mask`, and the tar that holds both;
    `side_px` of the thumbnail; `classes` of the mask."""

    tar: Path
    row: NDArray[np.void]
    mask: NDArray[np.void] | None
    side_px: int
    classes: int


def draw_thumbnails(
    summary: DatasetSummary, split: str, rows: Sequence[int], side_px: int, workers: int
) -> list[Pixels | None]:
    """RGB uint8 (h, w, 3), at most `side_px` high and wide, of each of `rows` of the split's index;
    None for a damaged sample and for row -1."""
    tables, shards = summary.splits[split], summary.manifest.splits[split].shards
    masks = tables.masks
    tasks = [
        ThumbnailTask(
            tar=summary.dataset.directory / shards[int(tables.samples["shard"][row])].name,
            row=tables.samples[row],
            mask=None if masks is None or not masks["size"][row] else masks[row],
            side_px=side_px,
            classes=len(summary.manifest.classes),
        )
        for row in rows
        if row >= 0
    ]
    with Workers(min(workers, len(tasks)), prepare=prepare_worker) as pool:
        made = pool.ordered(make_thumbnail, tasks, rescue=partial(_make_alone, pool))
        return [next(made) if row >= 0 else None for row in rows]


def make_thumbnail(task: ThumbnailTask) -> Pixels | None:
    """Runs in a worker; None if the sample is damaged."""
    try:
        with StderrCapture() as stderr, task.tar.open("rb") as file:
            raw = _decode(file.fileno(), task.row, stderr)
            code = cv2.COLOR_GRAY2RGB if raw.ndim == 2 else cv2.COLOR_BGR2RGB
            image = np.asarray(cv2.cvtColor(raw, code), np.uint8)
            if task.mask is not None:
                mask = _decode(file.fileno(), task.mask, stderr)
                if mask.shape != image.shape[:2]:
                    return None
                _overlay(image, mask, task.classes)
    except (OSError, OverflowError, UnsoundImageError):
        return None
    return fit_square(image, task.side_px)


def _make_alone(pool: Workers, task: ThumbnailTask) -> Pixels | None:
    """The result of a task during which processes died."""
    try:
        return pool.alone(make_thumbnail, task)
    except WorkerDiedError:
        return None


def fit_square(image: Pixels, side_px: int) -> Pixels:
    """RGB (h, w, 3) as it is if small, else its middle as (side, side, 3)."""
    height, width = image.shape[:2]
    if max(height, width) <= min(_PIXELATED_PX, side_px):
        return image
    cut = min(height, width)
    top, left = (height - cut) // 2, (width - cut) // 2
    middle = image[top : top + cut, left : left + cut]
    interpolation = cv2.INTER_AREA if cut >= side_px else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(middle, (side_px, side_px), interpolation=interpolation), np.uint8)


def _decode(file: int, row: NDArray[np.void], stderr: StderrCapture) -> NDArray[Any]:
    data = os.pread(file, int(row["size"]), int(row["offset"]))
    if zlib.crc32(data) != row["crc32"]:
        raise UnsoundImageError("its crc32 differs from that in the index")
    with time_limit(IMAGE_SECONDS):
        return decode(data, validate_header(data, sys.maxsize), stderr)


def _overlay(image: Pixels, mask: NDArray[np.uint8], classes: int) -> None:
    """Blend the colors of all classes but the first, which is mostly the background, half and half
    over `image`."""
    colors = np.array([_rgb(color) for color in islice(cycle(CYCLE), max(classes - 1, 1))])
    covered = (mask > 0) & (mask < classes)
    image[covered] = (image[covered] + colors[mask[covered] - 1]) // 2


def _rgb(color: str) -> list[int]:
    return list(bytes.fromhex(color.removeprefix("#")))
