"""Shards of the same images in several formats, written by tools/shard."""

import csv
import math
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np

from benchmarks.datasets.run_shard import run_shard
from pipeline.storage.dataset import SplitIndex
from pipeline.storage.reader import ShardReader
from pipeline.watchdog import StallWatchdog
from tools.images.headers import PNG_START

IMAGES = 512
QUALITY = 90
COLUMNS = ("--labels", "train.csv", "--image-column", "id", "--label-column", "label")


@contextmanager
def shards_by_format(index: SplitIndex, image_size_px: int) -> Iterator[Mapping[str, Path]]:
    """format -> temporary folder of shards with the first IMAGES samples of a split."""
    samples = index.rows(np.arange(min(IMAGES, len(index))))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _export(index, samples, folder / "download")
        yield {
            form: run_shard(folder / "download", folder / str(number), *COLUMNS, *encoding)
            for number, (form, encoding) in enumerate(_encodings(index, image_size_px).items())
        }


def _encodings(index: SplitIndex, image_size_px: int) -> dict[str, list[str]]:
    """format -> options of tools/shard; with smaller images if the images are large."""
    jpeg = ["--encode", "jpeg", "--quality", str(QUALITY)]
    encodings = {"as it is": ["--encode", "keep"], f"JPEG q{QUALITY}": jpeg}
    rows = index.samples
    # The shorter side that validation resizes to: image size / 0.875.
    side_px = math.ceil(image_size_px / 0.875)
    if np.median(np.minimum(rows["height"], rows["width"])) > side_px:
        encodings[f"JPEG q{QUALITY}, {side_px} px"] = [*jpeg, "--shortest-side", str(side_px)]
    return encodings | {"PNG": ["--encode", "png"]}


def _export(index: SplitIndex, samples: np.ndarray, folder: Path) -> None:
    """Write the images as files, and their labels as train.csv."""
    (folder / "train").mkdir(parents=True)
    for sample, data in zip(samples, stored_images(index, samples), strict=True):
        suffix = "png" if data.startswith(PNG_START) else "jpg"
        (folder / "train" / f"{sample}.{suffix}").write_bytes(data)
    with (folder / "train.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "label"])
        rows.writerows(zip(samples, index.samples["label"][samples], strict=True))


def stored_images(index: SplitIndex, samples: np.ndarray) -> list[bytes]:
    """The encoded images of `samples`. Raises ``DataError``."""
    with closing(ShardReader(index, verify=False, watchdog=StallWatchdog(0, rank=0))) as reader:
        encoded, _ = reader.read(samples)
    return [data.tobytes() for data in encoded]
