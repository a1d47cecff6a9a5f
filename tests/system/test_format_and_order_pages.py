"""What docs/format.md and docs/order.md say is what the pipeline does."""

import math
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.build import train_loader
from pipeline.config import PipelineConfig
from pipeline.feed.bad_samples import substitute
from pipeline.plan.augment import train_parameters, val_parameters
from pipeline.plan.order import repeated, weighted_order, window_order
from pipeline.storage.dataset import Dataset
from pipeline.storage.reader import ShardReader
from pipeline.watchdog import StallWatchdog
from tests.helpers.read_shards import permute, words

READER = Path(__file__).parents[1] / "helpers" / "read_shards.py"


def test_a_reader_made_from_the_pages_sees_an_epoch_of_the_loader(digits_shards: Path) -> None:
    said = subprocess.run(
        [sys.executable, READER, digits_shards, "train", "3", "1"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    dataset = Dataset(digits_shards)
    index = dataset.split("train")
    with train_loader(
        dataset,
        PipelineConfig(seed=3, image_size=8),
        global_batch_size=len(index),
        device=torch.device("cpu"),
        position=len(index),
        end_position=2 * len(index),
    ) as loader:
        (batch,) = loader
    reader = ShardReader(index, verify=True, watchdog=StallWatchdog(0, 0))
    images, damaged = reader.read(batch.samples)
    reader.close()
    assert not damaged
    assert said == [
        f"{index.samples['key'][sample]:09d} {label} {zlib.crc32(image.data)}"
        for sample, label, image in zip(batch.samples, batch.labels.tolist(), images, strict=True)
    ]


def uniform(*keys: int) -> float:
    return (words(*keys) >> 11) * 2.0**-53


def windowed(place: int, shards: list[range], window: int, seed: int, epoch: int) -> int:
    """The page's ``--shuffle window``; `shards`: the samples of each."""
    order = [shards[permute(j, len(shards), seed, epoch, len(shards))] for j in range(len(shards))]
    first = 0
    for number in range(math.ceil(len(shards) / window)):
        held = [sample for shard in order[number * window :][:window] for sample in shard]
        if place < first + len(held):
            return held[permute(place - first, len(held), seed, epoch, number)]
        first += len(held)
    raise AssertionError(place)


def test_windows_are_shuffled_as_the_page_says() -> None:
    sizes = [5, 1, 0, 7, 3, 4, 6, 2, 0, 5]
    ends = np.cumsum(sizes).tolist()
    shards = [range(end - size, end) for size, end in zip(sizes, ends, strict=True)]
    positions = np.arange(3 * ends[-1])
    epochs, chosen = window_order(np.array(sizes), 3, seed=8)(positions)
    assert epochs.tolist() == (positions // ends[-1]).tolist()
    assert chosen.tolist() == [
        windowed(position % ends[-1], shards, 3, 8, position // ends[-1])
        for position in positions.tolist()
    ]


def test_weights_and_repeats_are_as_the_page_says() -> None:
    labels = np.array([0, 3, 0, 1, 0, 3, 0, 0, 1, 0], np.int32)
    order = repeated(weighted_order(labels, np.array([1.0, 1, 0, 1]), seed=5), 2)
    visits, chosen = order(np.arange(100))
    classes = [np.flatnonzero(labels == label).tolist() for label in (0, 1, 3)]
    expected = []
    for position in (place // 2 for place in range(100)):
        word = words(5, position)
        number = next(n for n in range(3) if (n + 1) / 3 > uniform(word, 0))
        held = classes[number]
        expected.append(held[math.floor(uniform(word, 1) * len(held))])
    assert chosen.tolist() == expected
    assert visits.tolist() == list(range(100))


def window(
    u: list[float], size: tuple[int, int], area: tuple[float, float], ratio: tuple[float, float]
) -> list[int]:
    """The page's crop: top, left, h, w."""
    (height, width), (a0, a1), (r0, r1) = size, area, ratio
    for i in range(10):
        share = (a0 + u[i] * (a1 - a0)) * height * width
        aspect = math.exp(math.log(r0) + u[10 + i] * (math.log(r1) - math.log(r0)))
        w, h = round(math.sqrt(share * aspect)), round(math.sqrt(share / aspect))
        if 0 < w <= width and 0 < h <= height:
            return [math.floor(u[20] * (height - h + 1)), math.floor(u[21] * (width - w + 1)), h, w]
    h = max(1, round(width / r0)) if width / height < r0 else height
    w = max(1, round(height * r1)) if width / height > r1 else width
    return [(height - h) // 2, (width - w) // 2, h, w]


@pytest.mark.parametrize("area", [(0.08, 1.0), (1.0, 1.0)])
def test_crops_and_flips_are_as_the_page_says(area: tuple[float, float]) -> None:
    config = PipelineConfig(seed=11, crop_area=area, flip_probability=0.3, color_jitter=0.4)
    count = 200
    sizes = [(20 + sample % 31, 15 + sample % 47) for sample in range(count)]
    heights, widths = (np.array(side) for side in zip(*sizes, strict=True))
    found = train_parameters(
        config,
        visits=np.full(count, 2),
        samples=np.arange(count),
        heights=heights,
        widths=widths,
        image_size_px=32,
    )
    assert found.contrast is not None
    for sample, size in enumerate(sizes):
        key = words(11, 2, sample)
        u = [uniform(key, n) for n in range(26)]
        drawn = [*found.start[sample].tolist(), *found.shape[sample].tolist()]
        assert drawn == window(u, size, area, config.crop_ratio)
        assert found.mirror[sample] == (u[22] < 0.3)
        assert found.contrast[sample] == pytest.approx(1 + 0.4 * (2 * u[24] - 1), abs=1e-6)


def test_validation_and_substitutes_are_as_the_page_says() -> None:
    (height, width), resize, side = (333, 500), 256, 224
    found = val_parameters(
        heights=np.array([height]), widths=np.array([width]), resize_px=resize, image_size_px=side
    )
    resized = resize * height // min(height, width), resize * width // min(height, width)
    for axis, (before, after) in enumerate(zip((height, width), resized, strict=True)):
        first = round((after - side) / 2)
        region = [first * before / after, (first + side) * before / after]
        assert [found.roi_start[0, axis], found.roi_end[0, axis]] == pytest.approx(region, rel=1e-6)
    tried = [substitute(6, 2, 40, attempt, samples=1000) for attempt in range(5)]
    assert tried == [words(6, 2, 40, attempt, 1000) % 1000 for attempt in range(5)]
