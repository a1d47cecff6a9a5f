"""Run tools/shard in this process, and read its shards."""

import hashlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from click.testing import CliRunner, Result

from pipeline.storage.dataset import Dataset
from tools.cli import main

Unpack = Callable[[str], Path]


def shard(src: Path, out: Path, *arguments: str) -> Result:
    """Run the command; it may fail, but not with a traceback."""
    result = CliRunner().invoke(main, ["--src", str(src), "--out", str(out), *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def made(src: Path, out: Path, *arguments: str) -> Dataset:
    """The dataset of a run that must succeed."""
    result = shard(src, out, *arguments)
    assert result.exit_code == 0, result.output
    return Dataset(out)


def samples(dataset: Dataset) -> Counter[tuple[int, str]]:
    """Counts of (label, hash of the pixels) over all splits."""
    counts: Counter[tuple[int, str]] = Counter()
    for split in dataset.manifest.splits:
        index = dataset.split(split)
        tars = [(dataset.directory / shard.name).read_bytes() for shard in index.split.shards]
        for row in index.samples:
            data = tars[row["shard"]][row["offset"] : row["offset"] + row["size"]]
            pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
            counts[int(row["label"]), hashlib.md5(pixels.tobytes()).hexdigest()] += 1
    return counts


def contents(folder: Path) -> dict[str, bytes]:
    """The bytes of each file."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def photographs(folder: Path, suffix: str = ".png", count: int = 24, side: int = 80) -> Path:
    """Write smooth noise into two class folders."""
    generator = np.random.default_rng(1)
    for number in range(count):
        coarse = generator.integers(0, 256, (5, 5, 3), np.uint8)
        path = folder / ("cat" if number % 3 else "dog") / f"{number}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC))
    return folder
