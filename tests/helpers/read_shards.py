"""A reader of shards written from docs/format.md and docs/order.md alone; nothing of the project.

python tests/helpers/read_shards.py SHARDS SPLIT SEED EPOCH prints an epoch: a line a sample.
"""

import json
import math
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

MASK = 2**64 - 1


def samples(shards: Path, split: str) -> Iterator[tuple[int, int, bytes]]:
    """(key, label, the image's bytes) of each sample, in the order of the index."""
    manifest = json.loads((shards / "dataset.json").read_text(encoding="utf-8"))
    assert manifest["version"] == 3
    tars = [shards / shard["name"] for shard in manifest["splits"][split]["shards"]]
    for row in np.load(shards / f"{split}.samples.npy"):
        with tars[row["shard"]].open("rb") as tar:
            tar.seek(row["offset"])
            image = tar.read(row["size"])
        assert zlib.crc32(image) == row["crc32"]
        yield int(row["key"]), int(row["label"]), image


def scramble(word: int) -> int:
    word = (word + 0x9E3779B97F4A7C15) & MASK
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    word = (word ^ (word >> 27)) * 0x94D049BB133111EB & MASK
    return word ^ (word >> 31)


def words(*keys: int) -> int:
    state = 0
    for key in keys:
        state = scramble(state ^ key)
    return state


def permute(place: int, count: int, *keys: int) -> int:
    rows = math.isqrt(count - 1) + 1
    columns = math.ceil(count / rows)
    rounds = [words(*keys, i) for i in range(8)]
    while True:
        left, right = divmod(place, columns)
        for i in range(0, 8, 2):
            left = (left + (scramble(right ^ rounds[i]) >> 1)) % rows
            right = (right + (scramble(left ^ rounds[i + 1]) >> 1)) % columns
        place = left * columns + right
        if place < count:
            return place


if __name__ == "__main__":
    read = list(samples(Path(sys.argv[1]), sys.argv[2]))
    for place in range(len(read)):
        key, label, image = read[permute(place, len(read), *map(int, sys.argv[3:]))]
        print(f"{key:09d}", label, zlib.crc32(image))
