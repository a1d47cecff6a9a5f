"""Masks that are not one file each: several files of an object each, or run lengths."""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tools.images.decoding import Pixels, UnsoundImageError
from tools.images.image_source import Images

Integers = NDArray[np.int64]

_OBJECTS, _RUNS = b"objects\0", b"runs\0"
_LENGTH = struct.Struct("<Q")


def pack(files: Sequence[bytes]) -> bytes:
    """Several mask files as one value."""
    return _OBJECTS + b"".join(_LENGTH.pack(len(file)) + file for file in files)


def unpack(data: bytes) -> list[bytes]:
    """The files of ``pack``, or the only file."""
    if not data.startswith(_OBJECTS):
        return [data]
    files, at = [], len(_OBJECTS)
    while at < len(data):
        (length,) = _LENGTH.unpack_from(data, at)
        files.append(data[at + _LENGTH.size : at + _LENGTH.size + length])
        at += _LENGTH.size + length
    return files


def is_run_lengths(data: bytes) -> bool:
    """Whether a mask is written as run lengths."""
    return data.startswith(_RUNS)


def pack_runs(runs: Sequence[tuple[int, str]]) -> bytes:
    """Class and run lengths of each object of an image; no objects give a mask of class 0."""
    return _RUNS + "\n".join(f"{label} {text}" for label, text in runs).encode()


def decode_runs(data: bytes, size: tuple[int, int]) -> Pixels:
    """A mask of `size` (h, w), uint8, from run lengths: pairs of start and length, the starts from
    1, down each column and then to the right (Kaggle's format). Raises ``UnsoundImageError``."""
    height, width = size
    flat = np.zeros(height * width, np.uint8)
    for line in data[len(_RUNS) :].decode().splitlines():
        label, *numbers = map(int, line.split())
        for start, length in zip(numbers[::2], numbers[1::2], strict=True):
            if start < 1 or length < 1 or start + length - 1 > len(flat):
                raise UnsoundImageError(
                    f"the run {start} {length} leaves the image of {width} x {height} px"
                )
            flat[start - 1 : start - 1 + length] = label
    return np.ascontiguousarray(flat.reshape(width, height).T)


@dataclass(frozen=True)
class ObjectMasks:
    """Masks of several files each: those of mask n are `files` [bounds[n], bounds[n + 1])."""

    files: Images
    bounds: Integers

    def __len__(self) -> int:
        return len(self.bounds) - 1

    @property
    def mean_bytes(self) -> int:
        """The mean size of a mask."""
        return self.files.mean_bytes * len(self.files) // max(1, len(self))

    def take(self, numbers: Integers) -> "ObjectMasks":
        """The masks of these numbers, in this order."""
        ranges = [np.arange(self.bounds[n], self.bounds[n + 1]) for n in numbers.tolist()]
        places = np.concatenate([*ranges, np.empty(0, np.int64)])
        bounds = np.cumsum([0, *map(len, ranges)])
        return ObjectMasks(self.files.take(places), bounds)

    def load(self, max_bytes: int) -> Iterator[tuple[int, bytes | str]]:
        """Yield the size in bytes of each mask, and its packed files or the reason to reject it."""
        files = self.files.load(max_bytes)
        for first, end in pairwise(self.bounds.tolist()):
            parts = [next(files) for _ in range(end - first)]
            reason = next((data for _, data in parts if isinstance(data, str)), None)
            contents = [data for _, data in parts if isinstance(data, bytes)]
            yield sum(size for size, _ in parts), reason or pack(contents)


@dataclass(frozen=True)
class RunLengthMasks:
    """Masks as run lengths, see ``pack_runs``; an empty value stands for no mask."""

    values: tuple[bytes, ...]

    def __len__(self) -> int:
        return len(self.values)

    @property
    def mean_bytes(self) -> int:
        """The mean size of a mask."""
        return sum(map(len, self.values)) // max(1, len(self))

    def take(self, numbers: Integers) -> "RunLengthMasks":
        """The masks of these numbers, in this order."""
        return RunLengthMasks(tuple(self.values[n] for n in numbers.tolist()))

    def load(self, max_bytes: int) -> Iterator[tuple[int, bytes | str]]:
        """Yield the size in bytes of each mask, and its run lengths."""
        for value in self.values:
            yield len(value), value
