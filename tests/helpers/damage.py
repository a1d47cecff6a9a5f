"""Damage samples of shards."""

import random
import zlib
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.storage.dataset import Dataset
from tests.helpers.handmade import replace_table


def damage(shards: Path, split: str, samples: list[int], how: str = "flip") -> None:
    """Damage each of `samples`: "flip" one bit, "cut" off the second half, or write "zeros"."""
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
                end = middle if how == "cut" else 0
                data[end:] = bytes(len(data) - end)
            tar.seek(int(row["offset"]))
            tar.write(data)


def random_samples(shards: Path, split: str, fraction: float) -> list[int]:
    """A random `fraction` of the samples, sorted."""
    count = len(Dataset(shards).split(split))
    return sorted(random.Random(3).sample(range(count), round(fraction * count)))


def png(pixels: NDArray[np.uint8]) -> bytes:
    return bytes(cv2.imencode(".png", pixels)[1])


def replace_mask(shards: Path, split: str, sample: int, data: bytes, *, stated: bool) -> None:
    """Overwrite a mask with `data`; if `stated`, the index gets its size and checksum."""
    index = Dataset(shards).split(split)
    rows = np.load(shards / f"{split}.masks.npy")
    assert len(data) <= rows["size"][sample]
    with (shards / index.split.shards[0].name).open("r+b") as tar:
        tar.seek(int(rows["offset"][sample]))
        tar.write(data)
    if stated:
        rows["size"][sample], rows["crc32"][sample] = len(data), zlib.crc32(data)
        replace_table(shards, f"{split}.masks.npy", rows)
