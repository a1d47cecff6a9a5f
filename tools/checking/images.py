"""Decode every image and mask as a reader of the shards would. Runs in worker processes, which may
die."""

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

# Limits of a block: samples, and approximate bytes.
_BLOCK = 256
_BLOCK_BYTES = 8 * 2**20


@dataclass(frozen=True, kw_only=True)
class ImageBlock:
    """Samples of one shard: their row `numbers` in the split's index and those `rows`; masks have
    `classes` classes."""

    directory: Path
    shard: str
    numbers: NDArray[np.int64]
    rows: Tables
    classes: int

    def halves(self) -> tuple["ImageBlock", "ImageBlock"]:
        middle = len(self.numbers) // 2
        return self.take(slice(middle)), self.take(slice(middle, None))

    def take(self, part: slice) -> "ImageBlock":
        return replace(self, numbers=self.numbers[part], rows=self.rows.take(part))

    def finding(self, index: int, text: str) -> Finding:
        key = int(self.rows.samples["key"][index])
        return Finding(file=self.shard, text=text, row=int(self.numbers[index]), key=key)


@dataclass(frozen=True, kw_only=True)
class ImageResult:
    """`count`: samples; `class_counts`: masks that show each class, int64 (classes,)."""

    count: int
    findings: tuple[Finding, ...]
    class_counts: NDArray[np.int64]


def image_blocks(block: ImageBlock) -> Iterator[ImageBlock]:
    """The samples of a shard in smaller blocks."""
    filled = np.cumsum(block.rows.samples["size"], dtype=np.int64) // _BLOCK_BYTES
    bounds = np.flatnonzero(np.diff(filled)) + 1
    for first, end in zip([0, *bounds], [*bounds, len(filled)], strict=True):
        for start in range(first, end, _BLOCK):
            yield block.take(slice(start, min(start + _BLOCK, end)))


def check_images(block: ImageBlock) -> ImageResult:
    """Decode the images and masks of a block and compare them with the index."""
    findings, class_counts = [], np.zeros(block.classes, np.int64)
    with StderrCapture() as stderr, (block.directory / block.shard).open("rb") as file:
        for index, row in enumerate(block.rows.samples):
            try:
                size = _check_image(_decode(file.fileno(), row, stderr), row)
                if block.rows.masks is not None and block.rows.masks["size"][index]:
                    mask = _decode(file.fileno(), block.rows.masks[index], stderr)
                    class_counts += _present_classes(mask, size, block.classes)
            except UnsoundImageError as error:
                findings.append(block.finding(index, str(error)))
    return ImageResult(
        count=len(block.numbers), findings=tuple(findings), class_counts=class_counts
    )


def check_in_halves(block: ImageBlock, workers: Workers) -> ImageResult:
    """Check a block during which processes died: halving it, each part in a process of its own,
    isolates the image that kills them."""
    try:
        return workers.alone(check_images, block)
    except WorkerDiedError:
        if len(block.numbers) == 1:
            finding = block.finding(0, "decoding it crashes the process or takes too long")
            class_counts = np.zeros(block.classes, np.int64)
            return ImageResult(count=1, findings=(finding,), class_counts=class_counts)
    first, second = (check_in_halves(half, workers) for half in block.halves())
    return ImageResult(
        count=first.count + second.count,
        findings=first.findings + second.findings,
        class_counts=first.class_counts + second.class_counts,
    )


def _decode(file: int, row: np.void, stderr: StderrCapture) -> NDArray[Any]:
    data = os.pread(file, int(row["size"]), int(row["offset"]))
    with time_limit(IMAGE_SECONDS):
        return decode(data, validate_header(data, sys.maxsize), stderr)


def _check_image(pixels: NDArray[Any], row: np.void) -> tuple[int, ...]:
    """Compare with a row of the index; returns (h, w)."""
    size = (int(row["height"]), int(row["width"]))
    if pixels.shape[:2] != size:
        raise UnsoundImageError(
            f"the image is {_px(pixels.shape[:2])}, the index says {_px(size)} (height x width)"
        )
    if pixels.dtype != np.uint8 or pixels.shape[2:] not in ((), (3,)):
        raise UnsoundImageError("the image is neither 8-bit gray nor 8-bit RGB")
    return size


def _present_classes(mask: NDArray[Any], size: tuple[int, ...], classes: int) -> NDArray[np.bool_]:
    """Whether the mask shows each class: bool (classes,)."""
    if mask.shape != size or mask.dtype != np.uint8:
        raise UnsoundImageError(f"the mask is {mask.dtype} {mask.shape}, the image is {_px(size)}")
    present = np.bincount(mask.ravel(), minlength=VOID + 1) > 0
    invalid = np.flatnonzero(present[classes:VOID]) + classes
    if len(invalid):
        raise UnsoundImageError(
            f"the mask has the value {invalid[0]}, but there are only {classes} classes (and "
            f"{VOID} for pixels without one)"
        )
    return present[:classes]


def _px(size: tuple[int, ...]) -> str:
    return f"{size[0]} x {size[1]} px"
