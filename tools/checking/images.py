"""Every image and mask decoded, as a reader of the shards would. Runs in worker processes, which
may die."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.storage.manifest import VOID
from tools.checking.findings import Finding
from tools.checking.tables import Tables
from tools.images.decoding import UnsoundImageError, decode, validate_header
from tools.images.guards import StderrCapture
from tools.workers import WorkerDiedError, Workers, time_limit
from tools.writing.block_encoding import IMAGE_SECONDS

# Samples in a block, and their bytes, about.
_BLOCK = 256
_BLOCK_BYTES = 8 * 2**20


@dataclass(frozen=True, kw_only=True)
class ImageBlock:
    """Samples of one shard: `places` are their rows in the split's index, `rows` those rows; masks
    have `classes` classes."""

    directory: Path
    shard: str
    places: NDArray[np.int64]
    rows: Tables
    classes: int

    def halves(self) -> tuple["ImageBlock", "ImageBlock"]:
        middle = len(self.places) // 2
        return self.take(slice(middle)), self.take(slice(middle, None))

    def take(self, part: slice | NDArray[np.int64]) -> "ImageBlock":
        return replace(self, places=self.places[part], rows=self.rows.take(part))


@dataclass(frozen=True, kw_only=True)
class ImageResult:
    """`shown`: int64 (classes,), masks that show each class; `count`: of samples."""

    count: int
    findings: tuple[Finding, ...]
    shown: NDArray[np.int64]


def image_blocks(block: ImageBlock) -> Iterator[ImageBlock]:
    """The samples of a shard in handy portions."""
    filled = np.cumsum(block.rows.samples["size"], dtype=np.int64) // _BLOCK_BYTES
    bounds = np.flatnonzero(np.diff(filled)) + 1
    for first, end in zip([0, *bounds], [*bounds, len(filled)], strict=True):
        for start in range(first, end, _BLOCK):
            yield block.take(slice(start, min(start + _BLOCK, end)))


def check_images(block: ImageBlock) -> ImageResult:
    """What is wrong with the pixels of some samples."""
    findings, shown = [], np.zeros(block.classes, np.int64)
    with StderrCapture() as stderr, (block.directory / block.shard).open("rb") as file:
        for number, row in enumerate(block.rows.samples):
            try:
                size = _check_image(_decode(file.fileno(), row, stderr), row)
                if block.rows.masks is not None:
                    mask = _decode(file.fileno(), block.rows.masks[number], stderr)
                    shown += _shown_classes(mask, size, block.classes)
            except UnsoundImageError as error:
                findings.append(_finding(block, number, str(error)))
    return ImageResult(count=len(block.places), findings=tuple(findings), shown=shown)


def rescue(block: ImageBlock, workers: Workers) -> ImageResult:
    """The result of a block during which processes died: the image that kills is found by halving,
    each part in a process of its own."""
    try:
        return workers.alone(check_images, block)
    except WorkerDiedError:
        if len(block.places) == 1:
            finding = _finding(block, 0, "decoding it kills the process, or takes too long")
            shown = np.zeros(block.classes, np.int64)
            return ImageResult(count=1, findings=(finding,), shown=shown)
    first, second = (rescue(half, workers) for half in block.halves())
    return ImageResult(
        count=first.count + second.count,
        findings=first.findings + second.findings,
        shown=first.shown + second.shown,
    )


def _decode(file: int, row: np.void, stderr: StderrCapture) -> NDArray[Any]:
    data = os.pread(file, int(row["size"]), int(row["offset"]))
    with time_limit(IMAGE_SECONDS):
        return decode(data, validate_header(data, sys.maxsize), stderr)


def _check_image(pixels: NDArray[Any], row: np.void) -> tuple[int, ...]:
    size = (int(row["height"]), int(row["width"]))
    if pixels.shape[:2] != size:
        raise UnsoundImageError(
            f"the image is {_px(pixels.shape[:2])}, the index says {_px(size)} (height x width)"
        )
    if pixels.dtype != np.uint8 or pixels.shape[2:] not in ((), (3,)):
        raise UnsoundImageError("the image is neither 8-bit gray nor 8-bit RGB")
    return size


def _shown_classes(mask: NDArray[Any], size: tuple[int, ...], classes: int) -> NDArray[np.bool_]:
    """bool (classes,): which of them the mask shows."""
    if mask.shape != size or mask.dtype != np.uint8:
        raise UnsoundImageError(f"the mask is {mask.dtype} {mask.shape}, the image is {_px(size)}")
    present = np.bincount(mask.ravel(), minlength=VOID + 1) > 0
    strange = np.flatnonzero(present[classes:VOID]) + classes
    if len(strange):
        raise UnsoundImageError(
            f"the mask holds the value {strange[0]}, there are only {classes} classes (and "
            f"{VOID} for nothing)"
        )
    return present[:classes]


def _finding(block: ImageBlock, number: int, text: str) -> Finding:
    key = int(block.rows.samples["key"][number])
    return Finding(file=block.shard, text=text, row=int(block.places[number]), key=key)


def _px(size: tuple[int, ...]) -> str:
    return f"{size[0]} x {size[1]} px"
