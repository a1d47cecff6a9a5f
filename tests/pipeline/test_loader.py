"""The loader: the same pixels at any world size and after any resume, and what they look like."""

import gc
import os
import threading
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from pipeline.build import train_loader, val_loader
from pipeline.config import PipelineConfig
from pipeline.errors import DataError
from pipeline.plan.plan import draw_train_parameters
from pipeline.storage.dataset import Dataset, SplitIndex
from pipeline.synthetic import synthetic_loader
from tests.helpers.loaders import CPU, GLOBAL_BATCH_SIZE, loader_of, taken


def global_batches(
    shards: Path, steps: int, *, world_size: int, position: int = 0, **settings: int
) -> list[tuple[np.ndarray, torch.Tensor, torch.Tensor]]:
    ranks = [
        taken(
            loader_of(shards, rank=rank, world_size=world_size, position=position, **settings),
            steps,
        )
        for rank in range(world_size)
    ]
    return [
        (
            np.concatenate([batch.samples for batch in batches]),
            torch.cat([batch.images for batch in batches]),
            torch.cat([batch.labels for batch in batches]),
        )
        for batches in zip(*ranks, strict=True)
    ]


def assert_same(ours: list[Any], theirs: list[Any]) -> None:
    assert len(ours) == len(theirs)
    for (samples, images, labels), (others, other_images, other_labels) in zip(
        ours, theirs, strict=True
    ):
        assert np.array_equal(samples, others)
        assert torch.equal(images, other_images)
        assert torch.equal(labels, other_labels)


@pytest.fixture(scope="module")
def undisturbed(digits_shards: Path) -> list[tuple[np.ndarray, torch.Tensor, torch.Tensor]]:
    # 70 steps of 24 cross the border of the first epoch of about 1,617 samples. With one of them
    # read ahead each has a run of DALI of its own, with more of them several share one.
    return global_batches(digits_shards, 70, world_size=1, read_ahead=1)


@pytest.mark.parametrize("world_size", [1, 2, 3, 4])
def test_pixels_are_the_same_at_any_world_size_and_in_groups_of_steps(
    digits_shards: Path, undisturbed: list[Any], world_size: int
) -> None:
    assert_same(global_batches(digits_shards, 70, world_size=world_size), undisturbed)


@pytest.mark.parametrize(("stop", "world_size"), [(1, 1), (13, 2), (66, 3), (67, 4)])
def test_a_resume_goes_on_with_the_same_pixels(
    digits_shards: Path, undisturbed: list[Any], stop: int, world_size: int
) -> None:
    stopped = loader_of(digits_shards)
    taken(stopped, stop)
    state = stopped.state_dict()
    assert state["position"] == stop * GLOBAL_BATCH_SIZE
    resumed = global_batches(
        digits_shards, 70 - stop, world_size=world_size, position=state["position"]
    )
    assert_same(resumed, undisturbed[stop:])


def test_load_state_dict_goes_on_and_refuses_what_is_not_its_own(digits_shards: Path) -> None:
    first = loader_of(digits_shards)
    taken(first, 2)
    second = loader_of(digits_shards)
    second.load_state_dict(first.state_dict())
    assert np.array_equal(taken(second, 1)[0].samples, taken(first, 1)[0].samples)
    with pytest.raises(DataError, match="fingerprint"):
        second.load_state_dict(first.state_dict() | {"fingerprint": "other"})
    with pytest.raises(DataError, match="--seed"):
        second.load_state_dict(first.state_dict() | {"seed": 8})


def test_a_second_iteration_ends_the_first(digits_shards: Path) -> None:
    with loader_of(digits_shards) as loader:
        first = iter(loader)
        next(first)
        second = iter(loader)
        next(second)
        assert list(first) == []
        next(second)
        assert loader.state_dict()["position"] == 3 * GLOBAL_BATCH_SIZE


def test_an_epoch_and_its_end(digits_shards: Path) -> None:
    dataset = Dataset(digits_shards)
    samples = dataset.manifest.splits["train"].samples
    steps = -(-samples // GLOBAL_BATCH_SIZE)
    seen = np.concatenate([batch.samples for batch in loader_of(digits_shards, steps=steps)])
    assert len(seen) == steps * GLOBAL_BATCH_SIZE
    assert np.array_equal(np.sort(seen[:samples]), np.arange(samples))


@pytest.mark.parametrize("world_size", [1, 2, 3, 4])
def test_validation_is_every_sample_once_each_time(digits_shards: Path, world_size: int) -> None:
    dataset = Dataset(digits_shards)
    index = dataset.split("val")
    loaders = [
        val_loader(
            dataset,
            PipelineConfig(threads=1),
            batch_size=50,
            rank=rank,
            world_size=world_size,
            device=CPU,
        )
        for rank in range(world_size)
    ]
    for _ in range(2):
        batches = [batch for loader in loaders for batch in loader]
        seen = np.concatenate([batch.samples for batch in batches])
        assert np.array_equal(np.sort(seen), np.arange(len(index)))
        labels = torch.cat([batch.labels for batch in batches]).numpy()
        assert np.array_equal(labels, index.samples["label"][seen])


def test_more_ranks_than_validation_samples_leave_some_without(digits_shards: Path) -> None:
    dataset = Dataset(digits_shards)
    world_size = len(dataset.split("val")) + 1
    batches = [
        list(
            val_loader(
                dataset,
                PipelineConfig(threads=1),
                batch_size=8,
                rank=rank,
                world_size=world_size,
                device=CPU,
            )
        )
        for rank in (0, world_size - 1)
    ]
    assert sorted(map(len, batches)) == [0, 1]


def test_a_training_image_is_its_window_resized(photographs: Path) -> None:
    """Against a full decode by OpenCV, cut and resized by torchvision.

    At a window's border DALI repeats the last pixel, torchvision leaves it out of the mean: the
    outermost pixels differ more.
    """
    dataset = Dataset(photographs)
    config = PipelineConfig(threads=2, image_size=160)
    (batch,) = taken(
        train_loader(dataset, config, global_batch_size=32, device=CPU),
        1,
    )
    index = dataset.split("train")
    drawn = draw_train_parameters(index, config, np.zeros(32, np.int64), batch.samples, 160)
    assert 0 < drawn.mirror.sum() < 32
    for number, sample in enumerate(batch.samples):
        (top, left), (height, width) = drawn.start[number], drawn.shape[number]
        image = decoded(index, int(sample))[:, top : top + height, left : left + width]
        expected = v2.functional.resize(image, [160, 160], antialias=True)
        if drawn.mirror[number]:
            expected = expected.flip(-1)
        difference = (batch.images[number].int() - expected.int()).abs().float()
        assert difference.mean() <= 1 and difference[:, 1:-1, 1:-1].max() <= 2


def test_validation_is_torchvisions_resize_and_center_crop(photographs: Path) -> None:
    dataset = Dataset(photographs)
    loader = val_loader(
        dataset,
        PipelineConfig(threads=2, image_size=224),
        batch_size=32,
        device=CPU,
        split="train",
    )
    transform = v2.Compose([v2.Resize(256, antialias=True), v2.CenterCrop(224)])
    index = dataset.split("train")
    for batch in islice(loader, 5):
        for image, sample in zip(batch.images, batch.samples, strict=True):
            expected = transform(decoded(index, int(sample)))
            difference = (image.int() - expected.int()).abs().float()
            assert difference.mean() <= 1 and difference.max() <= 2


def decoded(index: SplitIndex, sample: int) -> torch.Tensor:
    """uint8 (3, H, W) of a sample, decoded whole by OpenCV."""
    row = index.samples[sample]
    tar = index.directory / index.split.shards[row["shard"]].name
    with tar.open("rb") as file:
        file.seek(int(row["offset"]))
        encoded = np.frombuffer(file.read(int(row["size"])), np.uint8)
    image = cv2.cvtColor(cv2.imdecode(encoded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    return torch.from_numpy(image).permute(2, 0, 1)


def test_batches_are_channels_last_and_stay_as_they_are(digits_shards: Path) -> None:
    batches = taken(loader_of(digits_shards), 6)
    kept = [batch.images.clone() for batch in batches]
    for batch, copy in zip(batches, kept, strict=True):
        assert batch.images.dtype == torch.uint8 and batch.labels.dtype == torch.int64
        assert batch.images.shape == (GLOBAL_BATCH_SIZE, 3, 32, 32)
        assert batch.images.is_contiguous(memory_format=torch.channels_last)
        assert torch.equal(batch.images, copy)


def test_closing_frees_threads_and_files(digits_shards: Path) -> None:
    def held() -> tuple[int, int]:
        gc.collect()  # a loader that nobody holds keeps its index mapped until then
        return threading.active_count(), len(os.listdir("/proc/self/fd"))  # noqa: PTH208

    taken(loader_of(digits_shards), 1)
    before = held()
    for _ in range(5):
        taken(loader_of(digits_shards), 2)
    assert held() == before


def test_synthetic_batches_look_like_real_ones() -> None:
    loader = synthetic_loader(
        batch_size=6, world_size=2, image_size=40, classes=3, device=CPU, end_position=30
    )
    batches = list(loader)
    assert len(batches) == 3
    assert loader.state_dict()["position"] == 36
    assert batches[0].images.shape == (6, 3, 40, 40)
    assert batches[0].images.is_contiguous(memory_format=torch.channels_last)
    assert batches[0].labels.min() >= 0 and batches[0].labels.max() < 3
