"""The images of one array or table file, in order: arrays of pixels, or bytes of image files."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from tools.arrays.image_layouts import ImageLayout
from tools.arrays.stored_array import StoredArray


@dataclass(frozen=True, kw_only=True)
class PixelRows(ABC):
    """`count` images of `shape`, (h, w) or (h, w, 3); `name` is that of the array, for people."""

    name: str
    count: int
    shape: tuple[int, ...]

    @abstractmethod
    def blocks(self, folder: Path) -> Iterator[NDArray[Any]]:
        """All images in blocks (b, h, w) or (b, h, w, 3) RGB of the type in the file. Temporary
        files go to `folder`. Raises ``DataError``."""

    @abstractmethod
    def sample(self) -> NDArray[Any]:
        """Pixels of a spread of the images, of any shape. Raises ``DataError``."""


@dataclass(frozen=True, kw_only=True)
class EncodedRows(ABC):
    """`count` images, each the bytes of a file; `name` is that of their table, for people."""

    name: str
    count: int

    @abstractmethod
    def blocks(self) -> Iterator[list[bytes | None]]:
        """All images in order, None for a row without one. Raises ``DataError``."""


ImageRows = PixelRows | EncodedRows


@dataclass(frozen=True, kw_only=True)
class ArrayPixels(PixelRows):
    """The images of an array."""

    array: StoredArray
    layout: ImageLayout

    def blocks(self, folder: Path) -> Iterator[NDArray[Any]]:
        for block in self.array.blocks(self.layout.axis, folder):
            yield self.layout.images(block)

    def sample(self) -> NDArray[Any]:
        return self.array.sample(self.layout.axis)


def array_pixels(array: StoredArray, layout: ImageLayout, name: str) -> ArrayPixels:
    """The images of `array`."""
    return ArrayPixels(
        name=name, count=array.shape[layout.axis], shape=layout.shape, array=array, layout=layout
    )
