"""How an array of numbers can hold images: which axis counts the samples, which the channels.
Pure functions of shapes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tools.pixel_tables.pixel_columns import image_shape

# Channels of an image: gray, RGB, and RGB with a fourth.
CHANNELS = (1, 3, 4)
_MIN_SIDE = 4
# 8 x 8 pixels: a shorter row of an array is one of measurements.
_MIN_VALUES = 64
# Longer images are series of measurements.
_MAX_ASPECT = 8


@dataclass(frozen=True, kw_only=True)
class ImageLayout:
    """How images lie in an array.

    Args:
        axis: of the samples, 0 or -1.
        order: the axes of an image in a block (samples, ...), without the samples' axis, in the
            order height, width, channels.
        size: (h, w, channels).
        flat: whether an image is a row of values, all R, all G, all B if it is `planar`.
    """

    axis: int
    order: tuple[int, ...] = ()
    size: tuple[int, int, int]
    flat: bool = False
    planar: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a stored image: (h, w), or (h, w, 3)."""
        height, width, channels = self.size
        return (height, width) if channels == 1 else (height, width, 3)

    def images(self, block: NDArray[Any]) -> NDArray[Any]:
        """The images of a block (b, ...) of the array: (b, h, w), or (b, h, w, 3) RGB."""
        height, width, channels = self.size
        if self.flat and self.planar:
            block = block.reshape(-1, channels, height, width).transpose(0, 2, 3, 1)
        elif self.flat:
            block = block.reshape(-1, height, width, channels)
        else:
            block = block.transpose(0, *(axis + 1 for axis in self.order))
        if channels == 1:
            return block.reshape(-1, height, width)
        return block[..., :3]

    @property
    def note(self) -> str:
        """The guess about the order of colors in rows of values, "" if there is none."""
        if not self.flat or self.size[2] == 1:
            return ""
        orders = ["interleaved (RGBRGB...)", "planar (all R, all G, all B)"]
        other = "interleaved" if self.planar else "planar"
        return (
            f"Rows of pixel values are read as {orders[self.planar]}; if colors look wrong, pass "
            f"--pixel-layout {other}."
        )

    def describe(self) -> str:
        """A phrase such as "28 x 28 pixels (gray, samples on the last axis)"."""
        height, width, channels = self.size
        words = [{1: "gray", 3: "RGB", 4: "the first 3 of 4 channels"}[channels]]
        if self.flat:
            words.append("flattened" + (", planar" if self.planar else ""))
        elif channels > 1 and self.order[-1] == 0:
            words.append("channels first")
        if self.axis == -1:
            words.append("samples on the last axis")
        return f"{width} x {height} pixels ({', '.join(words)})"


def image_layouts(
    shape: tuple[int, ...], size: tuple[int, int] | None = None, *, planar: bool = False
) -> Iterator[ImageLayout]:
    """The ways in which an array of this shape can be images, samples first before samples last.
    `size` and `planar` are those of flattened images, as in ``image_shape``."""
    if len(shape) == 2:
        yield from _flat_layouts(shape, size, planar)
        return
    for axis, rest in ((0, shape[1:]), (-1, shape[:-1])):
        for order in _orders(rest):
            sizes = [rest[n] for n in order]
            height, width, channels = (*sizes, 1)[:3]
            if is_image_size(height, width):
                yield ImageLayout(axis=axis, order=order, size=(height, width, channels))


def is_image_size(height: int, width: int) -> bool:
    """Whether an image may have this size."""
    low, high = sorted((height, width))
    return low >= _MIN_SIDE and high <= _MAX_ASPECT * low


def _flat_layouts(
    shape: tuple[int, ...], size: tuple[int, int] | None, planar: bool
) -> Iterator[ImageLayout]:
    for axis, values in ((0, shape[1]), (-1, shape[0])):
        if values < _MIN_VALUES or (found := image_shape(values, size)) is None:
            continue
        channels = 3 if len(found) == 3 else 1
        yield ImageLayout(
            axis=axis,
            size=(found[0], found[1], channels),
            flat=True,
            planar=planar and channels == 3,
        )


def _orders(rest: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """The axes of an image in the order height, width, channels."""
    if len(rest) == 2:
        yield (0, 1)
    elif len(rest) == 3 and rest[2] in CHANNELS:
        yield (0, 1, 2)
    elif len(rest) == 3 and rest[0] in CHANNELS:
        yield (1, 2, 0)


def label_count(shape: tuple[int, ...]) -> int | None:
    """The number of samples whose labels an array of this shape can be, as n, (n, 1), (n, 1, 1, 1),
    (1, n) or a row each (n, k); None if it can't."""
    if shape and set(shape[1:]) <= {1}:
        return shape[0]
    if len(shape) == 2:
        return shape[1] if shape[0] == 1 else shape[0]
    return None


def as_label_rows(block: NDArray[Any]) -> NDArray[Any]:
    """(n, k) of a block of labels of any such shape."""
    return np.asarray(block.reshape(len(block), -1))
