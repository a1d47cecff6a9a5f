"""A block: consecutive sources of a shard, and the stretch of its tar that becomes of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.storage.manifest import TARGET_COMPONENTS
from tools.images.encoding import Encoding
from tools.images.image_source import Images
from tools.images.masks import MaskColors

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


@dataclass(frozen=True, kw_only=True)
class BlockSettings:
    """What is the same for all blocks of a run. `digits`: width of a label in ASCII; of every
    `measured_every`-th source the pixels enter mean and deviation."""

    task: str
    classes: int
    encoding: Encoding
    measured_every: int = 1
    mask_colors: MaskColors | None = None

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
    settings: BlockSettings
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
        shown=np.zeros(block.settings.classes, np.int64),
    )
