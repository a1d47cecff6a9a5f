"""Downloads with copies of several kinds, and what tools/shard lists of them."""

import csv
import struct
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


def smooth(seed: int, side: int = 40) -> Pixels:
    """A picture with contours, another one for each seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    return np.asarray(cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC), np.uint8)


def encoded(pixels: Pixels, suffix: str = ".jpg", *arguments: int) -> bytes:
    return cv2.imencode(suffix, pixels, arguments)[1].tobytes()


def with_note(data: bytes, text: bytes = b"made by hand") -> bytes:
    """The same JPEG with a comment, or the same PNG compressed otherwise: other bytes and equal
    pixels."""
    if data.startswith(b"\xff\xd8"):
        return data[:2] + b"\xff\xfe" + struct.pack(">H", len(text) + 2) + text + data[2:]
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    again = encoded(np.asarray(pixels, np.uint8), ".png", cv2.IMWRITE_PNG_COMPRESSION, 1)
    assert again != data
    return again


def write_files(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def two_classes(count: int, suffix: str = ".jpg", start: int = 0) -> dict[str, bytes]:
    """Different pictures of cats and dogs, by name."""
    return {
        f"{'cat' if n % 2 else 'dog'}/{n}{suffix}": encoded(smooth(start + n), suffix)
        for n in range(count)
    }


def listed(shards: Path) -> list[tuple[str, dict[str, str]]]:
    """(match, {source: split}) of each group in duplicates.csv, in its order."""
    groups: dict[tuple[int, str], dict[str, str]] = defaultdict(dict)
    path = shards / "duplicates.csv"
    if path.exists():
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                groups[int(row["group"]), row["match"]][row["source"]] = row["split"]
    assert [number for number, _ in groups] == list(range(1, len(groups) + 1))
    return [(match, members) for (_, match), members in groups.items()]
