"""Finding images by what a table calls them, in memory that a million files don't fill."""

import unicodedata
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

IMAGE_SUFFIXES = frozenset(
    [
        ".png",
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".bmp",
        ".dib",
        ".tif",
        ".tiff",
        ".webp",
        ".gif",
        ".avif",
        ".jp2",
        ".pbm",
        ".pgm",
        ".ppm",
        ".pnm",
        ".hdr",
        ".exr",
        ".ras",
        ".sr",
        ".pic",
    ]
)


class PathTable(Sequence[str]):
    """Paths, as one run of UTF-8 and where each begins."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._text, self._starts = bytearray(), array("q", [0])
        for path in paths:
            self._text += path.encode(errors="surrogateescape")
            self._starts.append(len(self._text))

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __getitem__(self, number: int) -> str:  # type: ignore[override]
        if not 0 <= number < len(self):
            raise IndexError(number)
        data = self._text[self._starts[number] : self._starts[number + 1]]
        return data.decode(errors="surrogateescape")


class Names(Sequence[str]):
    """Some of `texts`, by number."""

    def __init__(self, texts: Sequence[str], numbers: NDArray[np.int64]) -> None:
        # Python's array gives integers at a tenth of NumPy's cost.
        self._texts, self._numbers = texts, array("q", numbers.tobytes())

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, place: int) -> str:  # type: ignore[override]
        return self._texts[self._numbers[place]]


class NameIndex:
    """Looks up numbers of `paths` by path or name, with or without extension, as a number, or with
    folders that don't exist here."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = paths
        # Hashes, 16 bytes a path: a dictionary of names takes ten times as much.
        hashes = np.fromiter(
            (hash(_folded(_stem_of(path))) for path in paths), np.int64, len(paths)
        )
        order = np.argsort(hashes, kind="stable")
        self._hashes = array("q", hashes[order].tobytes())
        self._order = array("q", order.tobytes())
        del hashes, order
        self._integers: tuple[array[int], array[int]] | None = None

    def find(self, text: str, among: range) -> list[int]:
        """Numbers of the images in `among` that `text` may name.

        A folder in `text` counts as far as it agrees, from its end, with those there are: of
        "/home/me/train/1.png" the nearest here is "data/train/1.png", not "data/test/1.png". One
        that goes upwards by ".." names nothing.
        """
        parts = [
            part for part in text.strip().replace("\\", "/").split("/") if part not in ("", ".")
        ]
        if not parts or ".." in parts:
            return []
        *folders, name = parts
        found = self._named(name, among)
        if not folders or not found:
            return found
        path = "/".join(parts)
        if exact := [number for number in found if self._paths[number] == path]:
            return exact
        agreeing = [_common_tail(folders, self._paths[number]) for number in found]
        best = max(agreeing)
        return [number for number, same in zip(found, agreeing, strict=True) if same == best]

    def _named(self, name: str, among: range) -> list[int]:
        stem = _stem_of(name)
        found = self._with_stem(stem, among)
        if stem != name:
            alike = [number for number in found if _name_of(self._paths[number]) == name]
            found = alike or found or self._with_stem(name, among)
        if not found and _is_integer(stem):
            found = list(self._with_integer(int(stem), among))
        return found

    def _with_stem(self, stem: str, among: range) -> list[int]:
        """Those of exactly this stem; if there are none, those that differ but in case or in how
        their letters are composed (macOS takes accents apart)."""
        folded = _folded(stem)
        alike = [
            number
            for number in _equal(self._hashes, self._order, hash(folded))
            if number in among and _folded(_stem_of(self._paths[number])) == folded
        ]
        exact = [number for number in alike if _stem_of(self._paths[number]) == stem]
        return exact or alike

    def _with_integer(self, integer: int, among: range) -> Iterator[int]:
        """Files whose names are numbers, for tables that lost leading zeros."""
        if self._integers is None:
            self._integers = self._sorted_integers()
        return (number for number in _equal(*self._integers, integer) if number in among)

    def _sorted_integers(self) -> "tuple[array[int], array[int]]":
        integers, numbers = array("q"), array("q")
        for number, path in enumerate(self._paths):
            stem = _stem_of(path)
            if _is_integer(stem):
                integers.append(int(stem))
                numbers.append(number)
        order = np.argsort(np.frombuffer(integers, np.int64), kind="stable")
        return (
            array("q", np.frombuffer(integers, np.int64)[order].tobytes()),
            array("q", np.frombuffer(numbers, np.int64)[order].tobytes()),
        )


def _folded(stem: str) -> str:
    return unicodedata.normalize("NFC", stem).casefold()


def suffix_of(path: str) -> str:
    """ ".jpg" of "train/1.JPG"; "" of ".hidden"."""
    name = path[path.rfind("/") + 1 :]
    at = name.rfind(".")
    return name[at:].lower() if at > 0 else ""


def _equal(keys: "array[int]", values: "array[int]", wanted: int) -> Iterator[int]:
    """The values of the sorted keys that are `wanted`."""
    at = bisect_left(keys, wanted)
    while at < len(keys) and keys[at] == wanted:
        yield values[at]
        at += 1


def _is_integer(stem: str) -> bool:
    """Of few enough digits for 64 bits."""
    return stem.isdecimal() and stem.isascii() and len(stem) <= 18


def _name_of(path: str) -> str:
    return path.rpartition("/")[2]


def _stem_of(path: str) -> str:
    """The name without the extension of an image; names may hold other dots."""
    name = _name_of(path)
    stem, dot, suffix = name.rpartition(".")
    return stem if dot and stem and f".{suffix.lower()}" in IMAGE_SUFFIXES else name


def _common_tail(folders: Sequence[str], path: str) -> int:
    """How many folders, the nearest first, are those of `path`."""
    own = path.split("/")[:-1]
    same = 0
    while same < min(len(own), len(folders)) and own[-1 - same] == folders[-1 - same]:
        same += 1
    return same
