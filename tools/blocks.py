"""A block: consecutive planned sources, encoded in one go by a worker process."""

import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.dataset import IMAGE_COMPONENTS
from tools.complaints import Complaints
from tools.encoding import Encoding
from tools.images import (
    Encoded,
    Pixels,
    UnsoundImageError,
    channel_sums,
    counted_rows,
    encode_file,
    encode_pixels,
    psnr_decibel,
)

# PSNR is measured on every so many planned sources: it costs a decode.
PSNR_EVERY = 64

# One row an accepted image. `source_bytes` is its size before; `sums` and `squares` are exact sums
# over `counted` of its pixels for R, G, B; `psnr` is in decibel, NaN where it wasn't measured.
RESULT_DTYPE = np.dtype(
    [
        ("place", "<i8"),
        ("component", "<i4"),
        ("size", "<i8"),
        ("source_bytes", "<i8"),
        ("height", "<u4"),
        ("width", "<u4"),
        ("crc32", "<u4"),
        ("lossy", "?"),
        ("psnr", "<f8"),
        ("counted", "<i8"),
        ("sums", "<i8", 3),
        ("squares", "<i8", 3),
    ]
)


class Images(Protocol):
    """Where the images of some sources come from; picklable and small."""

    def __len__(self) -> int: ...

    @property
    def mean_bytes(self) -> int:
        """About the mean size of a source."""
        ...

    def take(self, numbers: NDArray[np.int64]) -> "Images":
        """The images of the sources `numbers`, in that order."""
        ...

    def load(self, max_bytes: int) -> Iterator[tuple[int, bytes | Pixels | str]]:
        """For each source its size in bytes, and a file's contents, pixels, or the reason why it
        can't be used."""
        ...


@dataclass(frozen=True)
class SpooledPixels:
    """Rows of a pixel CSV, as raw pixels in the file `spool`; `shape` is (h, w) or (h, w, 3) RGB,
    `planar` if the file holds (3, h, w)."""

    spool: Path
    rows: NDArray[np.int64]
    shape: tuple[int, ...]
    planar: bool

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def mean_bytes(self) -> int:
        return int(np.prod(self.shape))

    def take(self, numbers: NDArray[np.int64]) -> "SpooledPixels":
        return replace(self, rows=self.rows[numbers])

    def load(self, max_bytes: int) -> Iterator[tuple[int, Pixels]]:
        size_bytes = self.mean_bytes
        file = os.open(self.spool, os.O_RDONLY)
        try:
            for row in self.rows.tolist():
                # Not mapped: the pages would count as this process's memory.
                raw = np.frombuffer(os.pread(file, size_bytes, row * size_bytes), np.uint8)
                yield size_bytes, self._picture(raw)
        finally:
            os.close(file)

    def _picture(self, raw: Pixels) -> Pixels:
        if len(self.shape) == 2:
            return raw.reshape(self.shape)
        if self.planar:
            raw = raw.reshape(3, *self.shape[:2]).transpose(1, 2, 0)
        return np.ascontiguousarray(raw.reshape(self.shape)[:, :, ::-1])


@dataclass(frozen=True, kw_only=True)
class Block:
    """`images` are those at places `first`, `first` + 1, ... of the plan."""

    first: int
    images: Images
    encoding: Encoding

    def halves(self) -> tuple["Block", "Block"]:
        first, second = np.array_split(np.arange(len(self.images)), 2)
        return (
            replace(self, images=self.images.take(first)),
            replace(self, first=self.first + len(first), images=self.images.take(second)),
        )


@dataclass(frozen=True, kw_only=True)
class BlockResult:
    """`rows`: RESULT_DTYPE, one an accepted image; `images` their bytes; `rejected` the places of
    the others and why."""

    rows: NDArray[np.void]
    images: tuple[bytes, ...]
    rejected: tuple[tuple[int, str], ...]


def encode_block(block: Block) -> BlockResult:
    """Runs in a worker."""
    rows, images, rejected = [], [], []
    loaded = block.images.load(block.encoding.max_bytes)
    with Complaints() as complaints:
        for place, (source_bytes, contents) in enumerate(loaded, start=block.first):
            result = _encode(contents, block.encoding, complaints)
            if isinstance(result, str):
                rejected.append((place, result))
            else:
                rows.append(_row(place, source_bytes, result))
                images.append(result.data)
    return BlockResult(
        rows=np.array(rows, RESULT_DTYPE), images=tuple(images), rejected=tuple(rejected)
    )


def _encode(
    contents: bytes | Pixels | str, encoding: Encoding, complaints: Complaints
) -> Encoded | str:
    try:
        if isinstance(contents, bytes):
            return encode_file(contents, encoding, complaints)
        return contents if isinstance(contents, str) else encode_pixels(contents, encoding)
    except UnsoundImageError as error:
        return str(error)


def merge(results: Sequence[BlockResult]) -> BlockResult:
    """One result of several, in their order."""
    return BlockResult(
        rows=np.concatenate([result.rows for result in results]),
        images=tuple(image for result in results for image in result.images),
        rejected=tuple(reject for result in results for reject in result.rejected),
    )


def nothing(block: Block, reason: str) -> BlockResult:
    """The result of a block of which no image can be used."""
    places = range(block.first, block.first + len(block.images))
    return BlockResult(
        rows=np.empty(0, RESULT_DTYPE),
        images=(),
        rejected=tuple((place, reason) for place in places),
    )


def prepare_worker() -> None:
    """One thread a process: the processes already are as many as they should be."""
    cv2.setNumThreads(0)


def _row(place: int, source_bytes: int, encoded: Encoded) -> tuple[object, ...]:
    counted = counted_rows(encoded.pixels)
    sums, squares = channel_sums(counted)
    height, width = encoded.pixels.shape[:2]
    measured = encoded.lossy and place % PSNR_EVERY == 0
    return (
        place,
        IMAGE_COMPONENTS.index(encoded.component),
        len(encoded.data),
        source_bytes,
        height,
        width,
        zlib.crc32(encoded.data),
        encoded.lossy,
        psnr_decibel(encoded) if measured else np.nan,
        counted.shape[0] * counted.shape[1],
        sums,
        squares,
    )
