"""The loader has the same pixels at any world size and after any resume, and torchvision's."""

import gc
import math
import os
import threading
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torchvision.transforms import v2

import pipeline.batches
from pipeline.batch import Batch
from pipeline.batches import graph_config
from pipeline.build import train_loader, val_loader
from pipeline.config import TORCH_RESIZES_PX, PipelineConfig
from pipeline.errors import DataError
from pipeline.loader import Loader
from pipeline.plan.plan import draw_train_parameters
from pipeline.storage.dataset import Dataset, SplitIndex
from pipeline.synthetic import synthetic_loader
from tests.helpers.loaders import (
    CPU,
    GLOBAL_BATCH_SIZE,
    assert_ranks_share_batches,
    build_loader,
    collect,
)


def augmented_loader(shards: Path, **arguments: Any) -> Loader:
    return build_loader(shards, color_jitter=0.3, seed=7, **arguments)


def rank_batches(
    shards: Path, steps: int, *, world_size: int, position: int = 0
) -> list[list[Batch]]:
    """The first `steps` batches of each rank."""
    return [
        collect(
            augmented_loader(shards, rank=rank, world_size=world_size, position=position), steps
        )
        for rank in range(world_size)
    ]


@pytest.fixture(scope="module")
def undisturbed(digits_shards: Path) -> list[Batch]:
    """70 steps of 24 samples; the first epoch ends after 1,617. With --read-ahead 1 DALI decodes
    each step in its own run, with more it decodes several steps together."""
    return collect(augmented_loader(digits_shards, read_ahead=1), 70)


@pytest.mark.parametrize("world_size", [1, 2, 3, 4])
def test_pixels_are_the_same_at_any_world_size_and_in_groups_of_steps(
    digits_shards: Path, undisturbed: list[Batch], world_size: int
) -> None:
    ranks = rank_batches(digits_shards, 70, world_size=world_size)
    assert_ranks_share_batches(ranks, undisturbed)


@pytest.mark.parametrize(("stop", "world_size"), [(1, 1), (13, 2), (66, 3), (67, 4)])
def test_a_resumed_loader_has_the_same_pixels(
    digits_shards: Path, undisturbed: list[Batch], stop: int, world_size: int
) -> None:
    stopped = augmented_loader(digits_shards)
    collect(stopped, stop)
    state = stopped.state_dict()
    assert state["position"] == stop * GLOBAL_BATCH_SIZE
    ranks = rank_batches(
        digits_shards, 70 - stop, world_size=world_size, position=state["position"]
    )
    assert_ranks_share_batches(ranks, undisturbed[stop:])


def test_load_state_dict_resumes_and_rejects_other_datasets_and_seeds(digits_shards: Path) -> None:
    first = augmented_loader(digits_shards)
    collect(first, 2)
    second = augmented_loader(digits_shards)
    second.load_state_dict(first.state_dict())
    assert np.array_equal(collect(second, 1)[0].samples, collect(first, 1)[0].samples)
    with pytest.raises(DataError, match="fingerprint"):
        second.load_state_dict(first.state_dict() | {"fingerprint": "other"})
    with pytest.raises(DataError, match="--seed"):
        second.load_state_dict(first.state_dict() | {"seed": 8})


def test_a_second_iteration_ends_the_first(digits_shards: Path) -> None:
    with augmented_loader(digits_shards) as loader:
        first = iter(loader)
        next(first)
        second = iter(loader)
        next(second)
        assert list(first) == []
        next(second)
        assert loader.state_dict()["position"] == 3 * GLOBAL_BATCH_SIZE


def test_an_epoch_has_every_sample_once(digits_shards: Path) -> None:
    dataset = Dataset(digits_shards)
    samples = dataset.manifest.splits["train"].samples
    steps = -(-samples // GLOBAL_BATCH_SIZE)
    seen = np.concatenate([batch.samples for batch in augmented_loader(digits_shards, steps=steps)])
    assert len(seen) == steps * GLOBAL_BATCH_SIZE
    assert np.array_equal(np.sort(seen[:samples]), np.arange(samples))


@pytest.mark.parametrize("world_size", [1, 2, 3, 4])
def test_each_iteration_of_validation_has_every_sample_once(
    digits_shards: Path, world_size: int
) -> None:
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


def test_some_ranks_have_no_batch_if_samples_are_fewer_than_ranks(digits_shards: Path) -> None:
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


def training_crops(
    shards: Path, *, image_size: int, interpolation: Any
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """The images of a training batch, and their crops, not resized, from a full decode by OpenCV;
    flipped images are flipped back."""
    dataset = Dataset(shards)
    config = PipelineConfig(threads=2, image_size=image_size, interpolation=interpolation)
    (batch,) = collect(train_loader(dataset, config, global_batch_size=32, device=CPU), 1)
    index = dataset.split("train")
    visits = np.zeros(32, np.int64)
    parameters = draw_train_parameters(index, config, visits, batch.samples, image_size)
    assert 0 < parameters.mirror.sum() < 32
    for i, sample in enumerate(batch.samples):
        (top, left), (height, width) = parameters.start[i], parameters.shape[i]
        crop = decoded(index, int(sample))[:, top : top + height, left : left + width]
        yield batch.images[i].flip(-1) if parameters.mirror[i] else batch.images[i], crop


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("image_size", [TORCH_RESIZES_PX, 160, 448])
def test_a_training_image_is_torchvisions_resized_crop(
    photographs: Path, interpolation: Any, image_size: int
) -> None:
    mode, size = v2.InterpolationMode(interpolation), [image_size, image_size]
    crops = training_crops(photographs, image_size=image_size, interpolation=interpolation)
    for image, crop in crops:
        expected = v2.functional.resize(crop, size, mode)
        assert (image.int() - expected.int()).abs().max() <= 1


@pytest.mark.parametrize(("interpolation", "reach"), [("bilinear", 1), ("bicubic", 2)])
def test_a_training_image_that_dali_resizes_is_its_resized_crop(
    photographs: Path, interpolation: Any, reach: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU, and below TORCH_RESIZES_PX.

    At a crop's border DALI repeats the last pixel, torchvision excludes it from the mean: results
    of the outermost pixels differ more.
    """
    monkeypatch.setattr(pipeline.batches, "TORCH_RESIZES_PX", math.inf)
    for image, crop in training_crops(photographs, image_size=160, interpolation=interpolation):
        # Of integers torchvision rounds and limits also what it keeps between rows and columns.
        resized = v2.functional.resize(
            crop.float(), [160, 160], v2.InterpolationMode(interpolation)
        )
        difference = (image.int() - resized.round().clamp(0, 255).int()).abs().float()
        assert difference.mean() <= 0.1
        border = max(reach, math.ceil(reach * 160 / min(crop.shape[1:])))
        assert difference[:, border:-border, border:-border].max() <= 1


@pytest.mark.parametrize("by_torch", [False, True])
def test_torch_resizes_from_an_image_size_on(digits_shards: Path, by_torch: bool) -> None:
    size = TORCH_RESIZES_PX if by_torch else TORCH_RESIZES_PX - 1
    config = PipelineConfig(image_size=size, val_resize=size)
    for training in (False, True):
        graph = graph_config(Dataset(digits_shards), config, CPU, 8, training=training)
        assert graph.resizes_with_torch is by_torch


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_validation_is_torchvisions_resize_and_center_crop(
    photographs: Path, interpolation: Any
) -> None:
    dataset = Dataset(photographs)
    config = PipelineConfig(threads=2, image_size=224, interpolation=interpolation)
    loader = val_loader(dataset, config, batch_size=32, device=CPU, split="train")
    mode = v2.InterpolationMode(interpolation)
    transform = v2.Compose([v2.Resize(256, mode, antialias=True), v2.CenterCrop(224)])
    index = dataset.split("train")
    for batch in islice(loader, 3):
        for image, sample in zip(batch.images, batch.samples, strict=True):
            expected = transform(decoded(index, int(sample)))
            assert (image.int() - expected.int()).abs().max() <= 1


def test_chosen_samples_are_those_of_the_whole_split_in_their_order(photographs: Path) -> None:
    dataset, config = Dataset(photographs), PipelineConfig(threads=2, image_size=64)
    rows = np.array([30, 2, 17])
    with val_loader(dataset, config, batch_size=32, device=CPU, split="train") as whole:
        images = next(iter(whole)).images.clone()
    with val_loader(
        dataset, config, batch_size=2, device=CPU, split="train", samples=rows
    ) as loader:
        batches = [(batch.samples.tolist(), batch.images.clone()) for batch in loader]
    assert [samples for samples, _ in batches] == [[30, 2], [17]]
    assert torch.equal(torch.cat([part for _, part in batches]), images[torch.from_numpy(rows)])


def decoded(index: SplitIndex, sample: int) -> torch.Tensor:
    """uint8 (3, H, W) of a sample, decoded in full by OpenCV."""
    row = index.samples[sample]
    tar = index.directory / index.split.shards[row["shard"]].name
    with tar.open("rb") as file:
        file.seek(int(row["offset"]))
        encoded = np.frombuffer(file.read(int(row["size"])), np.uint8)
    image = cv2.cvtColor(cv2.imdecode(encoded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    return torch.from_numpy(image).permute(2, 0, 1)


def test_batches_are_channels_last_and_not_overwritten(digits_shards: Path) -> None:
    batches = collect(augmented_loader(digits_shards), 6)
    copies = [batch.images.clone() for batch in batches]
    for batch, copy in zip(batches, copies, strict=True):
        assert batch.images.dtype == torch.uint8 and batch.labels.dtype == torch.int64
        assert batch.images.shape == (GLOBAL_BATCH_SIZE, 3, 32, 32)
        assert batch.images.is_contiguous(memory_format=torch.channels_last)
        assert torch.equal(batch.images, copy)


def test_closing_frees_threads_and_files(digits_shards: Path) -> None:
    def open_resources() -> tuple[int, int]:
        gc.collect()  # an unreferenced loader has its index mapped until then
        return threading.active_count(), len(os.listdir("/proc/self/fd"))  # noqa: PTH208

    collect(augmented_loader(digits_shards), 1)
    before = open_resources()
    for _ in range(5):
        collect(augmented_loader(digits_shards), 2)
    assert open_resources() == before


def test_synthetic_batches_have_the_layout_of_real_ones() -> None:
    loader = synthetic_loader(
        batch_size=6, world_size=2, image_size=40, classes=3, device=CPU, end_position=30
    )
    batches = list(loader)
    assert len(batches) == 3
    assert loader.state_dict()["position"] == 36
    assert batches[0].images.shape == (6, 3, 40, 40)
    assert batches[0].images.is_contiguous(memory_format=torch.channels_last)
    assert batches[0].labels.min() >= 0 and batches[0].labels.max() < 3
