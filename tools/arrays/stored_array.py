"""An array in a file of the download, read block by block along the axis of its samples."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Bytes of an array in memory at once; a block may be held three times, in other types.
BLOCK_BYTES = 2**23
# A range is measured on so many bytes, from up to so many places, evenly spread.
SAMPLED_BYTES, SAMPLED_PLACES = 2**24, 1024


@dataclass(frozen=True, kw_only=True)
class StoredArray(ABC):
    """An array of `file`, a path of the index.

    Args:
        member: its name in the file; "" if the file has no other.
        dtype: of kind "O" for Python objects, and for texts of any length in HDF5.
        problem: why it can't be read, "" if it can.
    """

    file: str
    member: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    problem: str = ""

    @property
    def name(self) -> str:
        """ "file.npz x_train", for people."""
        return f"{self.file} {self.member}" if self.member else self.file

    @abstractmethod
    def blocks(self, axis: int, folder: Path | None = None) -> Iterator[NDArray[Any]]:
        """The array in consecutive blocks (b, ...) along `axis`, the first (0) or the last (-1),
        which comes first in a block. Temporary files go to `folder`. Raises ``DataError``."""

    @abstractmethod
    def sample(self, axis: int) -> NDArray[Any]:
        """A spread of the values, at most SAMPLED_BYTES, of any shape; `axis` as in `blocks`.
        Raises ``DataError``."""


def rows_in_block(shape: tuple[int, ...], itemsize: int, axis: int) -> int:
    """Rows along `axis` that fit in BLOCK_BYTES, at least 1."""
    count = max(1, shape[axis])
    row_bytes = prod(shape) // count * itemsize
    return max(1, min(count, BLOCK_BYTES // max(1, row_bytes)))


def sampled_ranges(count: int, size_bytes: int) -> list[tuple[int, int]]:
    """Up to SAMPLED_PLACES ranges [first, end) of `count` items of `size_bytes` each, evenly
    spread, of SAMPLED_BYTES in all; at least one item."""
    items = max(1, min(count, SAMPLED_BYTES // max(1, size_bytes)))
    places = min(items, SAMPLED_PLACES)
    length = items // places
    return [
        (first, first + length)
        for first in np.linspace(0, count - length, places).astype(int).tolist()
    ]
