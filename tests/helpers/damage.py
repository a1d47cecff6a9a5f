"""Shards with damaged samples."""

import random
import zlib
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.batches import Batch
from pipeline.loader import Loader
from pipeline.storage.dataset import Dataset


def damage(shards: Path, split: str, samples: list[int], how: str = "flip") -> None:
    """Flip one bit in each of `samples`, "cut" off the second half, or leave "zeros" alone."""
    index = Dataset(shards).split(split)
    rows = np.load(shards / f"{split}.samples.npy")
    for sample in samples:
        row = rows[sample]
        with (shards / index.split.shards[row["shard"]].name).open("r+b") as tar:
            tar.seek(int(row["offset"]))
            data = bytearray(tar.read(int(row["size"])))
            middle = len(data) // 2
            if how == "flip":
                data[middle] ^= 1
            else:
                kept = middle if how == "cut" else 0
                data[kept:] = bytes(len(data) - kept)
            tar.seek(int(row["offset"]))
            tar.write(data)


def some(shards: Path, split: str, fraction: float) -> list[int]:
    count = len(Dataset(shards).split(split))
    return sorted(random.Random(3).sample(range(count), round(fraction * count)))


def collected(loader: Loader) -> list[Batch]:
    with loader:
        return [
            Batch(batch.images.clone(), batch.labels.clone(), batch.samples) for batch in loader
        ]


def png(pixels: NDArray[np.uint8]) -> bytes:
    return bytes(cv2.imencode(".png", pixels)[1])


def replace_mask(shards: Path, split: str, sample: int, data: bytes, *, stated: bool) -> None:
    """Write other bytes in the place of a mask; where they are `stated`, the index says so, too."""
    index = Dataset(shards).split(split)
    rows = np.load(shards / f"{split}.masks.npy")
    assert len(data) <= rows["size"][sample]
    with (shards / index.split.shards[0].name).open("r+b") as tar:
        tar.seek(int(rows["offset"][sample]))
        tar.write(data)
    if stated:
        rows["size"][sample], rows["crc32"][sample] = len(data), zlib.crc32(data)
        np.save(shards / f"{split}.masks.npy", rows)
