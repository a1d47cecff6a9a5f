"""The range of pixel values that are not integers of 8 bits, measured, and its scaling to 0..255.

A range is measured only where it is certain: values that may mean several ranges are a question to
the user, since a wrong range makes images dark or cuts their bright parts off.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import MisuseError

# Numbers of bits that cameras and scanners use.
_BITS = (8, 10, 12, 14, 16)
# Images in 0..255 reach this value, unless all of them are dark.
_BRIGHT = 128
# Integers of 8 bits whose largest value is below this are nearly black.
_DARK = 32
# Interpolation may leave the range by this fraction of it.
_TOLERANCE = 1e-3
# In levels of 8 bits: half precision rounds to 0.06 of one.
_LEVEL_ERROR = 0.1


class UnknownRangeError(MisuseError):
    """The values fit several ranges, or none; the text says which and has the option."""


@dataclass(frozen=True)
class PixelRange:
    """Values from `low` to `high` become 0 to 255. `text` is a sentence for the user, "" if there
    is nothing to say; `fixed`: the user gave the range, so values outside of it are clipped."""

    low: float
    high: float
    text: str = ""
    fixed: bool = False

    @property
    def is_identity(self) -> bool:
        """Whether values stay as they are."""
        return (self.low, self.high) == (0, 255)

    def to_uint8(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """The values scaled, rounded and clipped: uint8 of the same shape."""
        if values.dtype == np.uint8 and self.is_identity:
            return np.asarray(values, np.uint8)
        if values.dtype == np.bool_:
            values = values.view(np.uint8)
        kind = np.float64 if values.dtype.itemsize > 4 else np.float32
        scaled: NDArray[Any] = values.astype(kind)
        scaled -= self.low
        scaled *= 255 / (self.high - self.low)
        return np.asarray(np.clip(np.rint(scaled), 0, 255).astype(np.uint8))

    def outside(self, values: NDArray[Any]) -> NDArray[np.bool_]:
        """Which images of `values` (n, ...) have a value that is not finite or, unless the range
        is `fixed`, outside of it: bool (n,)."""
        bad = np.zeros(len(values), np.bool_)
        if values.dtype == np.uint8 and self.is_identity:
            return bad
        flat = values.reshape(len(values), -1)
        if values.dtype.kind == "f":
            bad |= ~np.isfinite(flat).all(axis=1)
        if self.fixed:
            return bad
        slack = (self.high - self.low) * _TOLERANCE if values.dtype.kind == "f" else 0
        bad |= flat.min(axis=1) < self.low - slack
        bad |= flat.max(axis=1) > self.high + slack
        return bad


def given_range(low: float, high: float) -> PixelRange:
    """The range that the user gave."""
    text = f"Pixels from {low:g} to {high:g} become 0 to 255, as --pixel-range says."
    return PixelRange(low, high, text, fixed=True)


def measure_range(values: NDArray[Any]) -> PixelRange:
    """The range of pixels, from a spread of them of any shape and of type bool, integer or float.

    Raises ``UnknownRangeError`` if the values fit no range or several, ``ValueError`` for another
    type.
    """
    kind = values.dtype.kind
    if kind not in "buif":
        raise ValueError(f"pixels can't be {values.dtype}")
    finite = values[np.isfinite(values)] if kind == "f" else values
    if not finite.size:
        return PixelRange(0, 255) if kind == "u" else PixelRange(0, 1)
    low, high = float(finite.min()), float(finite.max())
    if kind == "b":
        return PixelRange(0, 1, "The pixels are true or false: they become 255 or 0.")
    if kind == "f":
        return _float_range(low, high, values.dtype)
    if values.dtype == np.uint8:
        return PixelRange(0, 255, dark_text(high))
    return _integer_range(int(low), int(high), values.dtype)


def common_range(ranges: Sequence[PixelRange]) -> PixelRange:
    """One range for several arrays of a data set: the widest, if all begin at 0 and are integers of
    some bits; raises ``UnknownRangeError`` if they contradict each other."""
    if len({(one.low, one.high) for one in ranges}) == 1:
        return max(ranges, key=lambda one: len(one.text))
    widest = max(ranges, key=lambda one: one.high)
    if all(one.low == 0 and one.high >= 255 for one in ranges):
        return replace(widest, fixed=all(one.fixed for one in ranges))
    texts = " and ".join(sorted({f"{one.low:g} to {one.high:g}" for one in ranges}))
    raise UnknownRangeError(
        f"The arrays have pixels of different ranges ({texts}). Give the range that all of them "
        f"have:\n  --pixel-range LOW HIGH"
    )


def require_levels(values: NDArray[Any], measured: PixelRange) -> None:
    """Raise ``UnknownRangeError`` for floats that are not those of 8 bits, scaled to the range that
    was `measured`: rows of such values, without height and width, may as well be measurements."""
    if values.dtype.kind != "f":
        return
    finite = values[np.isfinite(values)].astype(np.float64)
    scaled = (finite - measured.low) * (255 / (measured.high - measured.low))
    if np.any(np.abs(scaled - np.rint(scaled)) > _LEVEL_ERROR):
        raise UnknownRangeError(
            f"its rows are fractions that aren't those of pixels of 8 bits, so they may be "
            f"measurements. If they are images, say so:\n  --pixel-range {_number(measured.low)} "
            f"{_number(measured.high)}"
        )


def _float_range(low: float, high: float, dtype: np.dtype[Any]) -> PixelRange:
    about = f"The pixels are {dtype} from"
    if low >= 0 and high <= 1 + _TOLERANCE:
        return PixelRange(0, 1, f"{about} 0 to 1: they are multiplied by 255.")
    if low >= 0 and _BRIGHT <= high <= 255 * (1 + _TOLERANCE):
        return PixelRange(0, 255, f"{about} 0 to 255: they are rounded.")
    edge = 1 + _TOLERANCE
    if -edge <= low < 0 and high <= edge and max(-low, high) > 0.5 + _TOLERANCE:
        return PixelRange(-1, 1, f"{about} -1 to 1: -1 becomes 0 and 1 becomes 255.")
    raise _unknown(low, high, dtype, [(-0.5, 0.5), (-1, 1)] if low < 0 and high <= 0.5 else [])


def _integer_range(low: int, high: int, dtype: np.dtype[Any]) -> PixelRange:
    if low >= 0 and high <= 255:
        if high < _DARK:
            raise _unknown(low, high, dtype, [(0, _up_to(high)), (0, 255)])
        return PixelRange(0, 255)
    if low < 0 or high.bit_length() > _BITS[-1]:
        raise _unknown(low, high, dtype, [])
    bits = next(bits for bits in _BITS if high.bit_length() <= bits)
    top = 2**bits - 1
    used = f"use {bits} bits of {dtype}" if bits < 8 * dtype.itemsize else f"are {dtype}"
    return PixelRange(0, top, f"The pixels {used}: 0 to {top} become 0 to 255.")


def _up_to(high: int) -> int:
    """The largest value of so many bits, or `high` if it is a power of 2."""
    return high if high & (high - 1) == 0 else 2 ** high.bit_length() - 1


def dark_text(high: float) -> str:
    """A sentence if the largest value makes images of 8 bits nearly black, else ""."""
    if high >= _DARK:
        return ""
    return (
        f"The pixels are at most {high:g} of 255, nearly black, and are stored so; to brighten "
        f"them pass --pixel-range 0 {_up_to(int(high)) or 1}."
    )


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else f"{value:g}"


def _unknown(
    low: float, high: float, dtype: np.dtype[Any], ranges: Iterable[tuple[float, float]]
) -> UnknownRangeError:
    options = list(ranges) or [(low, high if high > low else low + 1)]
    lines = "".join(f"\n  --pixel-range {_number(a)} {_number(b)}" for a, b in options)
    return UnknownRangeError(
        f"its pixels are {dtype} from {_number(low)} to {_number(high)}, and what is black and "
        f"what is white isn't known. Give the range that becomes 0 to 255, such as:{lines}"
    )
