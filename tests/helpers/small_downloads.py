"""Contents of small downloads: images that differ, and lines of tables."""

from pathlib import Path

import cv2
import numpy as np

Files = dict[str, str | bytes]


def picture(name: str, number: int) -> bytes:
    """An image whose contents no other number gives."""
    pixels = np.random.default_rng(number).integers(0, 256, (9, 8, 3)).astype(np.uint8)
    return bytes(cv2.imencode(Path(name).suffix, pixels)[1])


def pictures(*names: str) -> Files:
    return {name: picture(name, sum(map(ord, name)) + n) for n, name in enumerate(names)}


def lines(*rows: object) -> str:
    return "".join(f"{row if isinstance(row, str) else ','.join(map(str, row))}\n" for row in rows)
