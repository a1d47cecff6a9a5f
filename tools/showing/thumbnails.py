"""The samples of a contact sheet as small pictures, made in worker processes, which may die."""

import os
import sys
import zlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.chart_style import PIXELATED_PX
from pipeline.mask_colors import color_mask
from tools.images.codec import Pixels
from tools.images.decoding import UnsoundImageError, decode, validate_header
from tools.images.guards import StderrCapture
from tools.showing.dataset_summary import DatasetSummary
from tools.workers import WorkerDiedError, Workers, default_workers, time_limit
from tools.writing.block_encoding import IMAGE_SECONDS, prepare_worker

SIDE_PX = 256

# The tar of a sample, its row of SAMPLE_DTYPE and, if it has a mask, the one of MASK_DTYPE.
_Task = tuple[Path, Sequence[NDArray[np.void]]]
# A picture of each row of the split's index, RGB uint8 (h, w, 3); None for a damaged sample.
Tiles = dict[int, Pixels | None]


def draw_thumbnails(summary: DatasetSummary, split: str, rows: Sequence[int]) -> Tiles:
    """Small pictures of `rows` of the split's index."""
    tables, shards = summary.splits[split], summary.manifest.splits[split].shards
    tars = [summary.dataset.directory / shards[n].name for n in tables.samples["shard"][rows]]
    masks = tables.masks
    parts = [
        [tables.samples[row]]
        if masks is None or not masks["size"][row]
        else [tables.samples[row], masks[row]]
        for row in rows
    ]
    tasks = list(zip(tars, parts, strict=True))
    with Workers(min(default_workers(), len(tasks)), prepare=prepare_worker) as pool:
        made = pool.ordered(make_thumbnail, tasks, rescue=partial(_make_alone, pool))
        return dict(zip(rows, made, strict=True))


def make_thumbnail(task: _Task) -> Pixels | None:
    """Runs in a worker; None if the sample is damaged."""
    tar, rows = task
    try:
        with StderrCapture() as stderr, tar.open("rb") as file:
            raw, *masks = [_decode(file.fileno(), row, stderr) for row in rows]
    except (OSError, OverflowError, UnsoundImageError):
        return None
    code = cv2.COLOR_GRAY2RGB if raw.ndim == 2 else cv2.COLOR_BGR2RGB
    image = np.asarray(cv2.cvtColor(raw, code), np.uint8)
    for mask in masks:
        if mask.shape != raw.shape[:2]:
            return None
        image = color_mask(image, mask)
    return fit_square(image)


def _make_alone(pool: Workers, task: _Task) -> Pixels | None:
    """The result of a task during which processes died."""
    try:
        return pool.alone(make_thumbnail, task)
    except WorkerDiedError:
        return None


def fit_square(image: Pixels) -> Pixels:
    """RGB (h, w, 3) as it is if small, else its middle as (SIDE_PX, SIDE_PX, 3)."""
    height, width = image.shape[:2]
    if max(height, width) <= PIXELATED_PX:
        return image
    cut = min(height, width)
    top, left = (height - cut) // 2, (width - cut) // 2
    middle = image[top : top + cut, left : left + cut]
    interpolation = cv2.INTER_AREA if cut >= SIDE_PX else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(middle, (SIDE_PX, SIDE_PX), interpolation=interpolation), np.uint8)


def _decode(file: int, row: NDArray[np.void], stderr: StderrCapture) -> NDArray[Any]:
    data = os.pread(file, int(row["size"]), int(row["offset"]))
    if zlib.crc32(data) != row["crc32"]:
        raise UnsoundImageError("its crc32 differs from that in the index")
    with time_limit(IMAGE_SECONDS):
        return decode(data, validate_header(data, sys.maxsize), stderr)
