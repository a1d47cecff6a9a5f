"""Shards of every task whose test split has samples without a label, written by tools/shard's code.

Workers import this module: it holds the pictures that they load.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.storage.manifest import Manifest
from tests.helpers.handmade import mask, picture
from tools.config import ShardConfig
from tools.download.sources import Sources
from tools.images.image_source import Images
from tools.images.masks import MaskColors
from tools.sharding import make_shard_plan
from tools.workers import Workers
from tools.writing.block_encoding import prepare_worker
from tools.writing.output_folder import Store
from tools.writing.plan import make_plan
from tools.writing.shard_run import ShardRun

COUNT, TESTS = 48, 16
CLASSES = ("cat", "dog", "unicorn")


@dataclass(frozen=True)
class Pictures:
    """PNG files made from their numbers, images or masks; a negative number must not be loaded."""

    numbers: NDArray[np.int64]
    masks: bool = False

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def mean_bytes(self) -> int:
        return 2**16

    def take(self, numbers: NDArray[np.int64]) -> Images:
        return Pictures(self.numbers[numbers], self.masks)

    def load(self, max_bytes: int) -> Iterator[tuple[int, bytes]]:
        for number in self.numbers.tolist():
            assert number >= 0, "a mask that does not exist"
            size = size_of(number)
            pixels = mask(number, *size, len(CLASSES)) if self.masks else picture(number, *size)
            data = cv2.imencode(".png", pixels)[1].tobytes()
            yield len(data), data


def size_of(number: int) -> tuple[int, int]:
    """Height and width of a picture in px."""
    return 40 + number % 9, 60 - number % 5


def partly_labeled(task: str, unlabeled: int) -> Sources:
    """COUNT sources, of which the last TESTS are test; the last `unlabeled` have no label."""
    numbers = np.arange(COUNT)
    labeled = numbers < COUNT - unlabeled
    fields: dict[str, Any] = {"labels": np.full(COUNT, -1, np.int32), "classes": CLASSES}
    if task == "classification":
        fields["labels"] = np.where(labeled, numbers % 3, -1).astype(np.int32)
        fields |= {"ordered": True, "class_labels": ("n01", "n02", "n03")}
    elif task == "segmentation":
        colors = MaskColors(colors=((0, 0, 0), (1, 1, 1), (2, 2, 2)))
        fields["masks"] = Pictures(np.where(labeled, numbers, -1), masks=True)
        fields |= {"ordered": True, "mask_colors": colors}
    else:
        targets = np.stack([numbers / 7, numbers % 2, numbers % 3 == 0], axis=1)
        if task == "multi-label":
            targets = targets > 0
            fields |= {"ordered": True}
        else:
            fields |= {"classes": (), "target_names": ("age", "side", "size")}
        fields["targets"] = np.where(labeled[:, None], targets, np.nan).astype(np.float32)
    return Sources(
        images=Pictures(numbers),
        names=[f"photos/{number}.png" for number in numbers.tolist()],
        task=task,
        labeled=labeled,
        splits=np.where(numbers < COUNT - TESTS, 0, 2).astype(np.int8),
        groups=(numbers // 2).astype(np.int32),
        group_names=[f"patient {code}" for code in range(20)],
        rejected=(),
        **fields,
    )


def write_partly_labeled(
    out: Path, task: str = "classification", *, unlabeled: int = 9, workers: int = 1
) -> Manifest:
    """The sources of ``partly_labeled`` as shards in `out`."""
    sources = partly_labeled(task, unlabeled)
    config = ShardConfig(src=str(out.parent), out=str(out), shard_size=0.04, encode="keep")
    plan = make_plan(sources, val=None, seed=0)
    store = Store(config.out)
    with store.lock(), store.scratch() as folder, Workers(workers, prepare=prepare_worker) as crew:
        size = int(config.shard_size * 2**20)
        shard_plan = make_shard_plan("made", sources, plan, config.encoding, size, crew, folder)
        return ShardRun(shard_plan, config, store).write(crew, lambda count: None)
