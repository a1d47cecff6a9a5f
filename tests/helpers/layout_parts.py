"""Small downloads for tests, and what tools/shard must find in them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

Files = dict[str, str | bytes]


def image(name: str, shade: int = 0) -> bytes:
    """A small image in the format of the file name."""
    pixels = np.full((8, 8, 3), shade % 256, np.uint8)
    suffix = Path(name).suffix.lower().replace(".jpeg", ".jpg")
    return bytes(cv2.imencode(suffix, pixels)[1])


def pictures(*names: str) -> Files:
    return {name: image(name, 40 + shade) for shade, name in enumerate(names)}


def rows(header: str, *lines: str) -> str:
    return "\n".join([header, *lines]) + "\n"


@dataclass(frozen=True, kw_only=True)
class Layout:
    """`targets`: file (or row of a pixel table) -> label, labels, numbers or mask. `splits`: file
    -> split, for downloads with splits. `unlabeled`: images of split test without a label.
    `rejected`: number of rejected sources. `output`: phrases that a dry run prints."""

    files: Files
    targets: dict[str, Any]
    options: tuple[str, ...] = ()
    task: str = "classification"
    splits: dict[str, str] = field(default_factory=dict)
    unlabeled: tuple[str, ...] = ()
    classes: tuple[str, ...] | None = None
    rejected: int = 0
    output: tuple[str, ...] = ()


def numbered(folder: str, suffix: str, count: int = 4) -> list[str]:
    return [f"{folder}/{n}{suffix}" for n in range(1, count + 1)]


ROADS = (100034, 100081)
UUIDS = ("00070df0-bbc3", "000a6c98-bb9b", "000a9596-bbc4")
WNIDS = ("n01440764", "n01443537")
UIDS = ("1.2.826.0.1.3680043.8.498.2669", "1.2.826.0.1.3680043.8.498.4696")
