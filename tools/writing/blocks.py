"""Blocks: consecutive sources of a shard, from which a worker makes a segment of its tar."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.storage.manifest import TARGET_COMPONENTS, label_digits
from tools.download.label_sets import TargetRows
from tools.images.encoding import Encoding
from tools.images.image_source import Images
from tools.images.masks import MaskColors

# One row per sample. Offsets are in bytes of the segment; those of the target are 0 for a sample
# without one, as its size and crc32; `source_bytes` is the size of the source;
# `sums` and `squares` are exact sums over `counted` of the image's pixels for R, G, B (0 if not
# measured); `psnr` is in decibel, NaN if not measured; `source_crc32` is of the file or pixels
# of the image, and of the file of the mask; `content_crc32` and `perceptual_hash` (0 if not
# measured) as in tools/images/stored_content.py.
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
        ("source_crc32", "<u4"),
        ("content_crc32", "<u4"),
        ("perceptual_hash", "<u8"),
    ]
)


@dataclass(frozen=True, kw_only=True)
class BlockSettings:
    """Settings of all blocks of a run. The pixels of every `measured_every`-th source enter mean
    and standard deviation. `perceptual`: whether all images are decoded and get a perceptual
    hash."""

    task: str
    classes: int
    encoding: Encoding
    measured_every: int = 1
    mask_colors: MaskColors | None = None
    perceptual: bool = False

    @property
    def digits(self) -> int:
        """Width of a label in ASCII."""
        return label_digits(self.classes)

    @property
    def target(self) -> str:
        """The component of the targets."""
        return TARGET_COMPONENTS[self.task]


@dataclass(frozen=True, kw_only=True)
class Block:
    """Sources with the keys `first`, `first` + 1, ..., whose segment is written into `folder`.

    Args:
        labeled: bool (n,), whether a source has a label.
        labels: int32 (n,).
        targets: float32 (n, k) or sets of labels, by task.
        masks: those of the labeled sources, by task.
    """

    first: int
    images: Images
    labeled: NDArray[np.bool_]
    labels: NDArray[np.int32]
    settings: BlockSettings
    folder: Path
    targets: TargetRows | None = None
    masks: Images | None = None

    def halves(self) -> tuple["Block", "Block"]:
        first, second = np.array_split(np.arange(len(self.images)), 2)
        return self._part(first), self._part(second)

    def _part(self, numbers: NDArray[np.int64]) -> "Block":
        return replace(
            self,
            first=self.first + int(numbers[0]),
            images=self.images.take(numbers),
            labeled=self.labeled[numbers],
            labels=self.labels[numbers],
            targets=None if self.targets is None else self.targets[numbers],
            masks=None if self.masks is None else self.masks.take(self._mask_numbers(numbers)),
        )

    def _mask_numbers(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """The indices in `masks` of those of the sources `numbers` that are labeled."""
        places = np.cumsum(self.labeled) - 1
        return places[numbers[self.labeled[numbers]]]


@dataclass(frozen=True, kw_only=True)
class BlockResult:
    """`rows`: RESULT_DTYPE, one per sample. `parts`: files that together are the segment, of
    `size_bytes`. `rejected`: keys and reasons. `class_counts`: samples that show each class, int64
    (classes,)."""

    rows: NDArray[np.void]
    parts: tuple[Path, ...]
    size_bytes: int
    rejected: tuple[tuple[int, str], ...]
    class_counts: NDArray[np.int64]


def merge_results(results: Sequence[BlockResult]) -> BlockResult:
    """Concatenate results in their order."""
    starts = np.cumsum([0, *(result.size_bytes for result in results)])
    tables = [result.rows.copy() for result in results]
    for table, start in zip(tables, starts[:-1], strict=True):
        table["offset"] += start
        table["target_offset"][table["target_size"] > 0] += start
    return BlockResult(
        rows=np.concatenate(tables),
        parts=tuple(part for result in results for part in result.parts),
        size_bytes=int(starts[-1]),
        rejected=tuple(reject for result in results for reject in result.rejected),
        class_counts=np.sum([result.class_counts for result in results], axis=0),
    )


def reject_block(block: Block, reason: str) -> BlockResult:
    """The result if no image of a block can be used."""
    keys = range(block.first, block.first + len(block.images))
    return BlockResult(
        rows=np.empty(0, RESULT_DTYPE),
        parts=(),
        size_bytes=0,
        rejected=tuple((key, reason) for key in keys),
        class_counts=np.zeros(block.settings.classes, np.int64),
    )
