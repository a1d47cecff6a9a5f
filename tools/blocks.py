"""A block: consecutive sources of a shard, made into a stretch of its tar by a worker process."""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from pathlib import Path
from typing import NamedTuple, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.dataset import IMAGE_COMPONENTS, TARGET_COMPONENTS
from tools.complaints import Complaints
from tools.encoding import SMALL_PX, Encoding
from tools.images import (
    STORED_BYTES,
    Encoded,
    Pixels,
    UnsoundImageError,
    channel_sums,
    counted_rows,
    encode_file,
    encode_pixels,
    psnr_decibel,
)
from tools.masks import MaskColours, encode_mask
from tools.small_pngs import stored_pngs
from tools.spool import SpooledPixels
from tools.tar import (
    BLOCK_BYTES,
    equal_members,
    label_payloads,
    member_headers,
    npy_payloads,
    padding,
)
from tools.workers import time_limit

# PSNR is measured on every so many planned sources: it costs a decode.
PSNR_EVERY = 256
# A decoder that takes longer hangs.
IMAGE_SECONDS = 60

# One row an accepted sample. Offsets are in bytes of the stretch of tar; `source_bytes` is the size
# before; `sums` and `squares` are exact sums over `counted` of its pixels for R, G, B (0 where they
# weren't measured); `psnr` is in decibel, NaN where it wasn't measured.
RESULT_DTYPE = np.dtype(
    [
        ("key", "<i8"),
        ("component", "<i4"),
        ("label", "<i4"),
        ("offset", "<i8"),
        ("size", "<i8"),
        ("crc32", "<u4"),
        ("target_offset", "<i8"),
        ("target_size", "<i8"),
        ("target_crc32", "<u4"),
        ("source_bytes", "<i8"),
        ("height", "<u4"),
        ("width", "<u4"),
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


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What is the same for all blocks of a run. `digits`: width of a label in ASCII; of every
    `measured_every`-th source the pixels enter mean and deviation."""

    task: str
    classes: int
    encoding: Encoding
    measured_every: int = 1
    mask_colours: MaskColours | None = None

    @property
    def digits(self) -> int:
        return len(str(max(self.classes - 1, 0)))

    @property
    def target(self) -> str:
        return TARGET_COMPONENTS[self.task]


@dataclass(frozen=True, kw_only=True)
class Block:
    """Sources of the keys `first`, `first` + 1, ...: their images and, by task, `labels` int32
    (n,), `targets` float32 (n, k) or `masks`. The stretch of tar goes to a file in `folder`."""

    first: int
    images: Images
    labels: NDArray[np.int32]
    recipe: Recipe
    folder: Path
    targets: NDArray[np.float32] | None = None
    masks: Images | None = None

    def halves(self) -> tuple["Block", "Block"]:
        first, second = np.array_split(np.arange(len(self.images)), 2)
        return self._part(first), self._part(second)

    def _part(self, numbers: NDArray[np.int64]) -> "Block":
        return replace(
            self,
            first=self.first + int(numbers[0]),
            images=self.images.take(numbers),
            labels=self.labels[numbers],
            targets=None if self.targets is None else self.targets[numbers],
            masks=None if self.masks is None else self.masks.take(numbers),
        )


@dataclass(frozen=True, kw_only=True)
class BlockResult:
    """`rows`: RESULT_DTYPE, one an accepted sample; `parts`: the files whose bytes in a row are the
    stretch of tar, `size_bytes` long; `rejected`: keys of the others and why; `shown`: in how many
    samples each class is, int64 (classes,)."""

    rows: NDArray[np.void]
    parts: tuple[Path, ...]
    size_bytes: int
    rejected: tuple[tuple[int, str], ...]
    shown: NDArray[np.int64]


class Sample(NamedTuple):
    """One accepted source: the bytes of its image and mask, `shown` the classes in that, `facts`
    the fields of RESULT_DTYPE from source_bytes on. No pixels: a block's together would outgrow
    the cache."""

    key: int
    component: str
    data: bytes
    facts: tuple[object, ...]
    mask: bytes = b""
    shown: Sequence[int] = ()


def encode_block(block: Block) -> BlockResult:
    """Runs in a worker."""
    if _is_small(block):
        return _encode_small(block)
    samples, rejected = [], []
    with Complaints() as complaints:
        for key, size_bytes, image, mask in _load(block):
            with time_limit(IMAGE_SECONDS):
                sample = _sample(key, size_bytes, image, mask, block.recipe, complaints)
            if isinstance(sample, str):
                rejected.append((key, sample))
            else:
                samples.append(sample)
    pieces, rows = _assemble(block, samples)
    part = block.folder / f"{block.first:09d}.part"
    with part.open("wb") as file:
        file.writelines(pieces)
    return BlockResult(
        rows=rows,
        parts=(part,),
        size_bytes=sum(map(len, pieces)),
        rejected=tuple(rejected),
        shown=_shown(block, samples),
    )


def _is_small(block: Block) -> bool:
    """Whether all images are pixels of one size that become PNGs without deflate."""
    images, encoding = block.images, block.recipe.encoding
    if not isinstance(images, SpooledPixels) or block.masks is not None:
        return False
    size = images.shape[0], images.shape[1]
    as_is = encoding.size(*size) == size and size[0] <= SMALL_PX
    is_png = encoding.component(*size, source_format="") == "png"
    return as_is and is_png and images.mean_bytes <= STORED_BYTES


def _encode_small(block: Block) -> BlockResult:
    """What the images one by one would give, at a fifth of the time."""
    assert isinstance(block.images, SpooledPixels)
    pixels = block.images.stack()
    keys = block.first + np.arange(len(pixels))
    payloads, pngs = _payloads(block, keys), stored_pngs(pixels)
    targets = equal_members(keys, block.recipe.target, payloads)
    stretch = np.concatenate([targets, equal_members(keys, "png", pngs)], axis=1)
    rows = np.zeros(len(keys), RESULT_DTYPE)
    rows["key"], rows["label"] = keys, block.labels
    rows["component"] = IMAGE_COMPONENTS.index("png")
    rows["target_offset"] = np.arange(len(keys)) * stretch.shape[1] + BLOCK_BYTES
    rows["offset"] = rows["target_offset"] + targets.shape[1]
    rows["target_size"], rows["size"] = payloads.shape[1], pngs.shape[1]
    rows["crc32"] = [zlib.crc32(png.data) for png in pngs]
    rows["source_bytes"], rows["psnr"] = pixels[0].nbytes, np.nan
    rows["height"], rows["width"] = pixels.shape[1:3]
    measured = np.flatnonzero(keys % block.recipe.measured_every == 0)
    values = pixels[measured].astype(np.uint32)
    for name, table in (("sums", values), ("squares", values**2)):
        sums = table.sum(axis=(1, 2))
        rows[name][measured] = sums if sums.ndim == 2 else sums[:, None]
    rows["counted"][measured] = pixels.shape[1] * pixels.shape[2]
    part = block.folder / f"{block.first:09d}.part"
    part.write_bytes(stretch.data)
    return BlockResult(
        rows=rows,
        parts=(part,),
        size_bytes=stretch.nbytes,
        rejected=(),
        shown=_shown(block, [Sample(key, "png", b"", ()) for key in keys.tolist()]),
    )


def merge(results: Sequence[BlockResult]) -> BlockResult:
    """One result of several, in their order."""
    starts = np.cumsum([0, *(result.size_bytes for result in results)])
    rows = [result.rows.copy() for result in results]
    for some, start in zip(rows, starts[:-1], strict=True):
        some["offset"] += start
        some["target_offset"] += start
    return BlockResult(
        rows=np.concatenate(rows),
        parts=tuple(part for result in results for part in result.parts),
        size_bytes=int(starts[-1]),
        rejected=tuple(reject for result in results for reject in result.rejected),
        shown=np.sum([result.shown for result in results], axis=0),
    )


def nothing(block: Block, reason: str) -> BlockResult:
    """The result of a block of which no image can be used."""
    keys = range(block.first, block.first + len(block.images))
    return BlockResult(
        rows=np.empty(0, RESULT_DTYPE),
        parts=(),
        size_bytes=0,
        rejected=tuple((key, reason) for key in keys),
        shown=np.zeros(block.recipe.classes, np.int64),
    )


def prepare_worker() -> None:
    """One thread a process: the processes already are as many as they should be."""
    cv2.setNumThreads(0)


def _load(block: Block) -> Iterator[tuple[int, int, bytes | Pixels | str, bytes | str | None]]:
    """Key, size in bytes, image and mask of each source."""
    max_bytes = block.recipe.encoding.max_bytes
    masks = repeat((0, None)) if block.masks is None else block.masks.load(max_bytes)
    pairs = zip(block.images.load(max_bytes), masks, strict=False)
    for key, ((size_bytes, image), (_, mask)) in enumerate(pairs, start=block.first):
        assert not isinstance(mask, np.ndarray)
        yield key, size_bytes, image, mask


def _sample(
    key: int,
    source_bytes: int,
    image: bytes | Pixels | str,
    mask: bytes | str | None,
    recipe: Recipe,
    complaints: Complaints,
) -> Sample | str:
    """The sample, or why there is none."""
    if isinstance(image, str):
        return image
    try:
        if isinstance(image, bytes):
            in_full = key % recipe.measured_every == 0
            encoded = encode_file(image, recipe.encoding, complaints, in_full=in_full)
        else:
            encoded = encode_pixels(image, recipe.encoding)
    except UnsoundImageError as error:
        return str(error)
    facts = _facts(key, source_bytes, encoded, recipe)
    if recipe.mask_colours is None:
        return Sample(key, encoded.component, encoded.data, facts)
    if not isinstance(mask, bytes):
        return f"its mask: {mask}"
    try:
        size = (encoded.height, encoded.width)
        data, indices = encode_mask(mask, recipe.mask_colours, size, complaints)
    except UnsoundImageError as error:
        return f"its mask: {error}"
    shown = np.unique(indices).tolist()
    return Sample(key, encoded.component, encoded.data, facts, data, shown)


def _assemble(
    block: Block, samples: Sequence[Sample]
) -> tuple[list[bytes | memoryview], NDArray[np.void]]:
    """The stretch of tar in pieces, and RESULT_DTYPE rows."""
    if not samples:
        return [], np.empty(0, RESULT_DTYPE)
    keys = np.array([sample.key for sample in samples], np.int64)
    sizes = np.array([len(sample.data) for sample in samples], np.int64)
    headers = member_headers(keys, sizes, [sample.component for sample in samples])
    targets = _target_members(block, samples, keys)
    pieces: list[bytes | memoryview] = []
    rows, start = [], 0
    for sample, target, header in zip(samples, targets, headers, strict=True):
        piece = (target, header.data, sample.data, padding(len(sample.data)))
        pieces += piece
        offset = start + len(target) + BLOCK_BYTES
        rows.append(_row(sample, start + BLOCK_BYTES, offset))
        start += sum(map(len, piece))
    table = np.array(rows, RESULT_DTYPE)
    table["label"] = block.labels[keys - block.first]
    if block.masks is None:
        table["target_size"] = _payloads(block, keys).shape[1]
    return pieces, table


def _target_members(
    block: Block, samples: Sequence[Sample], keys: NDArray[np.int64]
) -> Sequence[bytes | memoryview]:
    """For each sample the whole member that stands before its image."""
    target = block.recipe.target
    if block.masks is None:
        return [row.data for row in equal_members(keys, target, _payloads(block, keys))]
    masks = [sample.mask for sample in samples]
    sizes = np.array([len(mask) for mask in masks], np.int64)
    headers = member_headers(keys, sizes, [target] * len(masks))
    return [
        header.tobytes() + mask + padding(len(mask))
        for header, mask in zip(headers, masks, strict=True)
    ]


def _payloads(block: Block, keys: NDArray[np.int64]) -> NDArray[np.uint8]:
    chosen = keys - block.first
    if block.targets is not None:
        return npy_payloads(block.targets[chosen])
    return label_payloads(block.labels[chosen], block.recipe.digits)


def _shown(block: Block, samples: Sequence[Sample]) -> NDArray[np.int64]:
    """In how many of `samples` each class is."""
    classes = block.recipe.classes
    chosen = [sample.key - block.first for sample in samples]
    if block.masks is not None:
        indices = [index for sample in samples for index in sample.shown if index < classes]
        return np.bincount(np.array(indices, np.int64), minlength=classes)
    if block.targets is None:
        return np.bincount(block.labels[chosen], minlength=classes)
    if classes:
        return np.asarray((block.targets[chosen] > 0).sum(axis=0), np.int64)
    return np.zeros(0, np.int64)


def _row(sample: Sample, target_offset: int, offset: int) -> tuple[object, ...]:
    return (
        sample.key,
        IMAGE_COMPONENTS.index(sample.component),
        -1,
        offset,
        len(sample.data),
        zlib.crc32(sample.data),
        target_offset,
        len(sample.mask),
        zlib.crc32(sample.mask),
        *sample.facts,
    )


def _facts(key: int, source_bytes: int, encoded: Encoded, recipe: Recipe) -> tuple[object, ...]:
    counted, sums, squares = 0, (0, 0, 0), (0, 0, 0)
    if encoded.pixels is not None and key % recipe.measured_every == 0:
        pixels = counted_rows(encoded.pixels)
        counted = pixels.shape[0] * pixels.shape[1]
        sums, squares = channel_sums(pixels)
    measured = encoded.lossy and key % PSNR_EVERY == 0
    psnr = psnr_decibel(encoded) if measured else np.nan
    size = (encoded.height, encoded.width)
    return source_bytes, *size, encoded.lossy, psnr, counted, sums, squares
