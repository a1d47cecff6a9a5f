"""What the values of mask files mean, measured on some of them."""

import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import DataError
from pipeline.storage.manifest import VOID
from pipeline.text import join_names
from tools.images.masks import MaskColors

# Masks that are measured, and pixels of each of them.
SURVEYED_MASKS, _SURVEYED_PIXELS = 256, 2**20
# Values up to the first are dark, from the second on bright; so large a share must be either.
_DARK, _BRIGHT, _MIN_BINARY_SHARE = 40, 215, 0.98
# Channels that differ by no more are gray: formats with few colors round them.
_GRAY_SPREAD = 8
# More different colors than this are no classes but a picture, or a lossy format.
_MAX_COLORS = 64
# The largest class number: from here on, gray values are brightness.
_MAX_NUMBER = 200
_BINARY = ("background", "foreground")


@dataclass(frozen=True)
class MaskMeaning:
    """The classes of masks in the order of their values, how pixels become values, and a sentence
    that says what was assumed."""

    classes: tuple[str, ...]
    colors: MaskColors
    note: str = ""


@dataclass(frozen=True)
class MaskValues:
    """Counts of the gray values, palette indices or RGB colors of some masks. `source` says which:
    "gray", "palette" or "colors"."""

    source: str
    counts: Counter[int] | Counter[tuple[int, int, int]]
    masks: int


def survey(files: Iterable[bytes], threshold: int) -> MaskMeaning:
    """The meaning of the masks `files`; raises ``DataError`` if it can't be told."""
    values = [_values_of(data) for data in files]
    read = [value for value in values if value is not None]
    if not read:
        return MaskMeaning(_BINARY, MaskColors(colors=None, threshold=threshold))
    if any(value.source == "colors" for value in read):
        colors = [value for value in read if value.source == "colors"]
        if not all(_is_extreme(color) for value in colors for color in value.counts):
            return _colors(colors)
        read = [_as_gray(value) for value in read]
    counts: Counter[int] = Counter()
    for value in read:
        counts.update(value.counts)  # type: ignore[arg-type]
    return _numbers(counts, read[0].source, len(read), threshold)


def _is_extreme(color: object) -> bool:
    """Whether a color is nearly black or nearly white."""
    return isinstance(color, tuple) and (max(color) <= _DARK or min(color) >= _BRIGHT)


def _as_gray(values: MaskValues) -> MaskValues:
    """With black and white for colors that are nearly so."""
    if values.source != "colors":
        return values
    counts: Counter[int] = Counter()
    for color, amount in values.counts.items():
        counts[0 if max(color) <= _DARK else VOID] += amount  # type: ignore[arg-type]
    return MaskValues("gray", counts, values.masks)


def nearest_note(files: Iterable[bytes], colors: MaskColors) -> str:
    """A sentence if masks have other values than `colors`, "" if all agree."""
    table = colors.colors or ()
    known: set[object] = {*table, *(red for red, green, blue in table if red == green == blue)}
    for data in files:
        values = _values_of(data)
        if values is not None and not set(values.counts) <= known:
            other = next(iter(set(values.counts) - known))
            return (
                f"Masks have other values than the table of colors, such as {other}: each pixel "
                f"gets the nearest color. Without the table, --mask-threshold divides them."
            )
    return ""


def numbered(files: Iterable[bytes], classes: Sequence[str]) -> MaskMeaning | None:
    """The meaning of masks whose gray values are numbers of rows of the table of colors, from 0;
    None if they are not."""
    values = [value for data in files if (value := _values_of(data)) is not None]
    numbers = {number for value in values for number in value.counts} - {VOID}
    if any(value.source == "colors" for value in values) or not numbers <= {*range(len(classes))}:
        return None
    colors = MaskColors(
        colors=None, numbers=len(classes), from_palette=values[0].source == "palette"
    )
    note = "Masks have the numbers of the rows in the table of colors, from 0."
    return MaskMeaning(tuple(classes), colors, note)


def _values_of(data: bytes) -> MaskValues | None:
    """The values of a mask; None if it can't be read, which the encoding reports."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            is_palette = image.mode == "P" and image.format == "PNG"
            pixels = np.asarray(image if is_palette else _plain(image))
    except (OSError, ValueError, Image.DecompressionBombError, SyntaxError):
        return None
    step = max(1, int((pixels.shape[0] * pixels.shape[1] / _SURVEYED_PIXELS) ** 0.5))
    pixels = pixels[::step, ::step]
    if pixels.ndim == 3 and np.ptp(pixels[..., :3].astype(np.int16), axis=2).max() > _GRAY_SPREAD:
        packed = pixels[..., :3].astype(np.uint32) @ np.array([65536, 256, 1], np.uint32)
        colors, amounts = np.unique(packed, return_counts=True)
        triples = ((int(c) >> 16, int(c) >> 8 & 255, int(c) & 255) for c in colors)
        return MaskValues("colors", Counter(dict(zip(triples, amounts.tolist(), strict=True))), 1)
    gray: NDArray[np.int64] = (pixels if pixels.ndim == 2 else pixels[..., 0]).astype(np.int64)
    levels, amounts = np.unique(gray, return_counts=True)
    pairs = zip(levels.tolist(), amounts.tolist(), strict=True)
    return MaskValues("palette" if is_palette else "gray", Counter(dict(pairs)), 1)


def _plain(image: Image.Image) -> Image.Image:
    """Gray of 8 or 16 bits as it is, anything else as RGB."""
    if image.mode in ("L", "I;16", "I", "1"):
        return image.convert("L") if image.mode == "1" else image
    return image.convert("RGB")


def _numbers(counts: Counter[int], source: str, masks: int, threshold: int) -> MaskMeaning:
    """The meaning of gray values or palette indices."""
    levels = sorted(counts)
    numbers = [level for level in levels if level != VOID]
    if set(levels) <= {0, VOID} and source == "gray":
        return _binary(levels, threshold, masks, "")
    total = sum(counts.values())
    binary = sum(n for level, n in counts.items() if level <= _DARK or level >= _BRIGHT) / total
    has_both = any(level >= _BRIGHT for level in numbers) and any(n <= _DARK for n in numbers)
    if source == "gray" and has_both and binary >= _MIN_BINARY_SHARE:
        note = (
            f"Masks have nearly black and nearly white pixels: values from {threshold} on are "
            f"{_BINARY[1]!r} (--mask-threshold)."
        )
        return _binary(levels, threshold, masks, note)
    if numbers and max(numbers) <= _MAX_NUMBER and _are_numbers(numbers):
        count = max(numbers) + 1
        void = f", {VOID} for no class" if VOID in counts else ""
        note = f"Masks have the class numbers 0 to {count - 1}{void}."
        colors = MaskColors(colors=None, numbers=max(count, 2), from_palette=source == "palette")
        return MaskMeaning(tuple(map(str, range(max(count, 2)))), colors, note)
    if len(levels) <= _MAX_COLORS and source == "gray":
        grays = {(level, level, level): counts[level] for level in levels}
        return _by_color(Counter(grays), masks, "gray values")
    raise DataError(
        f"The masks have {len(levels)} different gray values ({join_names(list(map(str, levels)))}"
        f"): neither class numbers nor black and white. List the classes and their colors in a CSV "
        f"with columns name,r,g,b and pass it as --mask-colors."
    )


def _are_numbers(numbers: Sequence[int]) -> bool:
    """Whether the values count classes: most numbers from 0 to the largest occur."""
    return 2 * len(numbers) > max(numbers) or max(numbers) < 32


def _binary(levels: Sequence[int], threshold: int, masks: int, note: str) -> MaskMeaning:
    if masks > 1 and (max(levels) < threshold or min(levels) >= threshold):
        side = "below" if max(levels) < threshold else "at or above"
        raise DataError(
            f"All pixels of {masks:,} masks are {side} --mask-threshold {threshold}: every mask "
            f"would be one class. Pass another --mask-threshold."
        )
    return MaskMeaning(_BINARY, MaskColors(colors=None, threshold=threshold), note)


def _colors(values: Sequence[MaskValues]) -> MaskMeaning:
    counts: Counter[tuple[int, int, int]] = Counter()
    for value in values:
        counts.update(value.counts)  # type: ignore[arg-type]
    return _by_color(counts, len(values), "colors")


def _by_color(counts: Counter[tuple[int, int, int]], masks: int, noun: str) -> MaskMeaning:
    """A class for each color, the most frequent one first."""
    if len(counts) > _MAX_COLORS:
        raise DataError(
            f"{masks:,} masks have {len(counts):,} different {noun}, too many to be classes: "
            f"perhaps they are stored with loss. List the classes in a CSV with columns "
            f"name,r,g,b and pass it as --mask-colors."
        )
    ordered = [color for color, _ in counts.most_common()]
    names = tuple("#{:02x}{:02x}{:02x}".format(*color) for color in ordered)
    note = (
        f"Masks have {len(ordered)} {noun}, each is a class that is named by its color "
        f"({join_names(names, 3)}); a table of name,r,g,b as --mask-colors names them."
    )
    return MaskMeaning(names, MaskColors(colors=tuple(ordered)), note)
