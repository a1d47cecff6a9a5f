"""Find images by the names that tables use, in little memory for a million files."""

import unicodedata
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import dropwhile, pairwise

import numpy as np
from numpy.typing import NDArray

IMAGE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".tif", ".tiff", ".webp", ".gif"}
    | {".avif", ".jp2", ".pbm", ".pgm", ".ppm", ".pnm", ".hdr", ".exr", ".ras", ".sr", ".pic"}
)


class PathTable(Sequence[str]):
    """Paths, stored as one UTF-8 buffer and the offset of each."""

    def __init__(self, paths: Iterable[str]) -> None:
        text, self._starts = bytearray(), array("q", [0])
        for path in paths:
            text += path.encode(errors="surrogateescape")
            self._starts.append(len(text))
        self._text = bytes(text)

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __getitem__(self, number: int) -> str:  # type: ignore[override]
        if number < 0:
            raise IndexError(number)
        starts = self._starts
        return self._text[starts[number] : starts[number + 1]].decode("utf-8", "surrogateescape")

    def __iter__(self) -> Iterator[str]:
        text = self._text
        for start, end in pairwise(self._starts):
            yield text[start:end].decode("utf-8", "surrogateescape")


class Names(Sequence[str]):
    """The texts at `numbers` of `texts`, without a copy; "" for -1."""

    def __init__(self, texts: Sequence[str], numbers: NDArray[np.int64]) -> None:
        # Python's array gives integers at a tenth of NumPy's cost.
        self._texts, self._numbers = texts, array("q", numbers.tobytes())

    def __len__(self) -> int:
        return len(self._numbers)

    @property
    def numbers(self) -> NDArray[np.int64]:
        """The index of each in the texts: int64 (n,)."""
        return np.frombuffer(self._numbers, np.int64)

    def __getitem__(self, index: int) -> str:  # type: ignore[override]
        number = self._numbers[index]
        return "" if number < 0 else self._texts[number]


class NameIndex:
    """Finds the numbers of `paths` by path or by name.

    The name may lack its extension or leading zeros, and its folders may not exist here.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = paths
        # Hashes take 16 bytes a path, a dictionary of names ten times as much.
        hashes = np.fromiter(
            (hash(_folded(_stem_of(path))) for path in paths), np.int64, len(paths)
        )
        order = np.argsort(hashes, kind="stable")
        self._hashes = array("q", hashes[order].tobytes())
        self._order = array("q", order.tobytes())
        del hashes, order
        self._integers: tuple[array[int], array[int]] | None = None

    def hashes(self) -> NDArray[np.int64]:
        """A number for each path, equal for paths of the same name: int64 (n,)."""
        hashes = np.empty(len(self._order), np.int64)
        hashes[np.frombuffer(self._order, np.int64)] = np.frombuffer(self._hashes, np.int64)
        return hashes

    def find(self, text: str, among: range) -> list[int]:
        """Numbers of the images in `among` that `text` may name.

        Of several images with the name, those with the most folders in common count, from the
        last folder up: "/home/me/train/1.png" names "data/train/1.png", not "data/test/1.png". A
        path may begin with "../"; one with ".." further on names nothing.
        """
        parts = [
            part for part in text.strip().replace("\\", "/").split("/") if part not in ("", ".")
        ]
        parts = list(dropwhile(lambda part: part == "..", parts))
        if not parts or ".." in parts:
            return []
        *folders, name = parts
        numbers = self._with_name(name, among)
        if not folders or not numbers:
            return numbers
        path = "/".join(parts)
        if exact := [number for number in numbers if self._paths[number] == path]:
            return exact
        common = [_common_folders(folders, self._paths[number]) for number in numbers]
        most = max(common)
        return [number for number, same in zip(numbers, common, strict=True) if same == most]

    def _with_name(self, name: str, among: range) -> list[int]:
        stem = _stem_of(name)
        numbers = self._with_stem(stem, among)
        if stem != name:
            same_suffix = [number for number in numbers if name_of(self._paths[number]) == name]
            numbers = same_suffix or numbers or self._with_stem(name, among)
        if not numbers and _is_integer(stem):
            numbers = list(self._with_integer(int(stem), among))
        return numbers

    def _with_stem(self, stem: str, among: range) -> list[int]:
        """Images of exactly this stem; if there is none, those that differ in case or in the
        composition of letters (macOS decomposes accents)."""
        folded = _folded(stem)
        similar = [
            number
            for number in _equal(self._hashes, self._order, hash(folded))
            if number in among and _folded(_stem_of(self._paths[number])) == folded
        ]
        exact = [number for number in similar if _stem_of(self._paths[number]) == stem]
        return exact or similar

    def _with_integer(self, integer: int, among: range) -> Iterator[int]:
        """Images whose names are this number, for tables that lost leading zeros."""
        if self._integers is None:
            self._integers = self._sorted_integers()
        return (number for number in _equal(*self._integers, integer) if number in among)

    def _sorted_integers(self) -> "tuple[array[int], array[int]]":
        integers, numbers = array("q"), array("q")
        for number, path in enumerate(self._paths):
            if _is_integer(stem := _stem_of(path)):
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
    dot = name.rfind(".")
    return name[dot:].lower() if dot > 0 else ""


def id_of(path: str) -> str:
    """The last part of a path without its extension: "1" of "train/1.jpg", ".a" of ".a", "a." of
    "a."."""
    name = path[path.rfind("/") + 1 :]
    dot = name.rfind(".")
    return name[:dot] if 0 < dot < len(name) - 1 else name


def name_of(path: str) -> str:
    """The last part of a path."""
    return path.rpartition("/")[2]


def _equal(keys: "array[int]", values: "array[int]", key: int) -> Iterator[int]:
    """The values whose key is `key`; `keys` are sorted."""
    index = bisect_left(keys, key)
    while index < len(keys) and keys[index] == key:
        yield values[index]
        index += 1


def _is_integer(stem: str) -> bool:
    """Whether the stem is an integer that fits in 64 bits."""
    return stem.isdecimal() and stem.isascii() and len(stem) <= 18


def _stem_of(path: str) -> str:
    """The name without an image's extension; other dots belong to the stem."""
    name = name_of(path)
    stem, dot, suffix = name.rpartition(".")
    return stem if dot and stem and f".{suffix.lower()}" in IMAGE_SUFFIXES else name


def _common_folders(folders: Sequence[str], path: str) -> int:
    """The number of folders that `path` shares with `folders`, from the last folder up."""
    count = 0
    for one, other in zip(reversed(folders), path.split("/")[-2::-1], strict=False):
        if one != other:
            break
        count += 1
    return count
