"""Finding images by what a table calls them, in memory that a million files don't fill."""

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from functools import cached_property
from pathlib import PurePosixPath

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

    def __init__(self, paths: Sequence[str]) -> None:
        encoded = [path.encode(errors="surrogateescape") for path in paths]
        self._text = b"".join(encoded)
        lengths = np.fromiter(map(len, encoded), np.int64, len(encoded))
        self._starts = array("q", np.concatenate([[0], np.cumsum(lengths)]).tobytes())

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
        hashes = np.fromiter((hash(_stem_of(path)) for path in paths), np.int64, len(paths))
        order = np.argsort(hashes, kind="stable")
        self._hashes = array("q", hashes[order].tobytes())
        self._order = array("q", order.tobytes())

    def find(self, text: str) -> list[int]:
        """Numbers of the images that `text` may name.

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
        found = self._named(name)
        if not folders or not found:
            return found
        path = "/".join(parts)
        if exact := [number for number in found if self._paths[number] == path]:
            return exact
        agreeing = [_common_tail(folders, self._paths[number]) for number in found]
        best = max(agreeing)
        return [number for number, same in zip(found, agreeing, strict=True) if same == best]

    def _named(self, name: str) -> list[int]:
        stem = _stem_of(name)
        found = self._with_stem(stem)
        if stem != name:
            alike = [number for number in found if _name_of(self._paths[number]) == name]
            found = alike or found or self._with_stem(name)
        if not found and stem.isdecimal() and stem.isascii():
            found = self._numbered.get(int(stem), [])
        return found

    def _with_stem(self, stem: str) -> list[int]:
        wanted, found = hash(stem), []
        at = bisect_left(self._hashes, wanted)
        while at < len(self._hashes) and self._hashes[at] == wanted:
            if _stem_of(self._paths[self._order[at]]) == stem:
                found.append(self._order[at])
            at += 1
        return found

    @cached_property
    def _numbered(self) -> dict[int, list[int]]:
        """Files whose names are numbers, for tables that lost leading zeros."""
        numbered: dict[int, list[int]] = {}
        for number, path in enumerate(self._paths):
            stem = _stem_of(path)
            if stem.isdecimal() and stem.isascii():
                numbered.setdefault(int(stem), []).append(number)
        return numbered


def suffix_of(path: str) -> str:
    return PurePosixPath(path).suffix.lower()


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
