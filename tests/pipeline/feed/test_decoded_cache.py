"""A cache of decoded images does not change the bits of batches."""

from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import pipeline.feed.decoded_cache
from pipeline.batch import Batch
from pipeline.build import train_loader, val_loader
from pipeline.config import PipelineConfig
from pipeline.dali.decode_for_cache import FullImageDecoder
from pipeline.dali.decode_graph import GraphConfig
from pipeline.errors import DataError
from pipeline.feed.decoded_cache import image_bytes
from pipeline.loader import Loader
from pipeline.mixup import mixing
from pipeline.storage.dataset import Dataset
from tests.helpers.damage import damage, random_samples
from tests.helpers.handmade import replace_table
from tests.helpers.loaders import (
    CPU,
    GLOBAL_BATCH_SIZE,
    assert_ranks_share_batches,
    assert_same_batches,
    build_loader,
    collect,
)


def jittered_loader(shards: Path, *, epochs: int = 2, **arguments: Any) -> Loader:
    fixed = {"seed": 5, "color_jitter": 0.2, "max_bad": 0.2}
    return build_loader(shards, epochs=epochs, **fixed, **arguments)


@pytest.fixture(scope="module")
def undisturbed(digits_shards: Path) -> list[Batch]:
    return collect(jittered_loader(digits_shards))


@pytest.mark.parametrize("cache", ["host", "auto"])
def test_cached_png_batches_have_the_same_bits(
    digits_shards: Path, undisturbed: list[Batch], cache: str
) -> None:
    assert_same_batches(collect(jittered_loader(digits_shards, cache=cache)), undisturbed)


def test_two_resumed_ranks_with_caches_have_the_same_batches(
    digits_shards: Path, undisturbed: list[Batch]
) -> None:
    ranks = [
        collect(
            jittered_loader(
                digits_shards,
                cache="host",
                rank=rank,
                world_size=2,
                position=60 * GLOBAL_BATCH_SIZE,
            )
        )
        for rank in (0, 1)
    ]
    assert_ranks_share_batches(ranks, undisturbed[60:])


@pytest.mark.parametrize(("how", "verify"), [("flip", "crc"), ("zeros", "none")])
def test_cached_batches_have_the_same_replacements(
    copied_shards: Path, how: str, verify: str
) -> None:
    damage(copied_shards, "train", random_samples(copied_shards, "train", 0.02), how)
    settings = {"epochs": 1, "verify": verify}
    cached, plain = (
        jittered_loader(copied_shards, cache=cache, **settings) for cache in ("host", "none")
    )
    assert_same_batches(collect(cached), collect(plain))
    assert cached.bad_samples() == plain.bad_samples() != []


def test_cached_jpeg_batches_have_the_same_bits(photographs: Path) -> None:
    settings = {"epochs": 1, "image_size": 64}
    assert_same_batches(
        collect(jittered_loader(photographs, cache="host", **settings), 8),
        collect(jittered_loader(photographs, **settings), 8),
    )


@pytest.mark.parametrize("auto_augment", ["trivial", "rand"])
def test_cached_batches_with_all_augmentations_have_the_same_bits(
    digits_shards: Path, auto_augment: str
) -> None:
    settings: dict[str, Any] = {
        **{"hue_jitter": 20.0, "auto_augment": auto_augment, "erase_probability": 0.5},
        **{"mixup_alpha": 0.2, "cutmix_alpha": 1.0},
        **{"progressive_resize": (32, 64), "progressive_epochs": 1},
    }
    cached = collect(jittered_loader(digits_shards, cache="host", **settings))
    plain = collect(jittered_loader(digits_shards, **settings))
    assert_same_batches(cached, plain)
    assert [cached[at].images.shape[-1] for at in (0, -1)] == [32, 64]
    mix = mixing(PipelineConfig(seed=5, **settings), classes=10, batch_size=GLOBAL_BATCH_SIZE)
    assert mix is not None
    position = (len(cached) - 1) * GLOBAL_BATCH_SIZE  # in epoch 1, where all images are cached
    ours, theirs = (mix(batch.images, batch.labels, position) for batch in (cached[-1], plain[-1]))
    assert all(map(torch.equal, ours, theirs)) and not torch.equal(ours[0], cached[-1].images)


def test_a_second_epoch_reads_no_files(copied_shards: Path) -> None:
    loader = jittered_loader(copied_shards, cache="host", epochs=3)
    samples = Dataset(copied_shards).manifest.splits["train"].samples
    with loader:
        batches = iter(loader)
        first_epoch = list(islice(batches, samples // GLOBAL_BATCH_SIZE + 20))
        for tar in copied_shards.glob("train-*.tar"):
            with tar.open("r+b") as file:
                file.truncate(0)
        assert len(first_epoch) + len(list(batches)) == -(-3 * samples // GLOBAL_BATCH_SIZE)


def test_a_closed_loader_has_freed_its_cache(copied_shards: Path) -> None:
    loader = jittered_loader(copied_shards, cache="host", epochs=1)
    first = collect(loader)
    loader.load_state_dict(loader.state_dict() | {"position": 0})
    assert_same_batches(collect(loader), first)
    for tar in copied_shards.glob("train-*.tar"):
        with tar.open("r+b") as file:
            file.truncate(0)
    loader.load_state_dict(loader.state_dict() | {"position": 0})
    with pytest.raises(DataError, match="is cut off"):
        collect(loader)


@pytest.mark.parametrize("world_size", [1, 2])
def test_cached_validation_is_the_same_each_time(copied_shards: Path, world_size: int) -> None:
    damage(copied_shards, "val", [0, 7, 100])
    dataset = Dataset(copied_shards)

    def loader(cache: str) -> Loader:
        return val_loader(
            dataset,
            PipelineConfig(threads=1, cache=cache, max_bad=0.1),
            batch_size=32,
            rank=world_size - 1,
            world_size=world_size,
            device=CPU,
        )

    plain = collect(loader("none"))
    with loader("host") as cached:
        assert len(cached) == len(plain)
        for _ in range(3):
            assert_same_batches(list(cached), plain)


def test_images_that_do_not_fit_are_not_cached(
    digits_shards: Path,
    undisturbed: list[Batch],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    index = Dataset(digits_shards).split("train")
    needed = int(image_bytes(index, np.arange(len(index))).sum())
    rows = index.samples
    assert needed == sum(3 * int(row["height"]) * int(row["width"]) for row in rows)
    monkeypatch.setattr(pipeline.feed.decoded_cache, "memory_for_cache", lambda *_: needed - 1)
    assert_same_batches(collect(jittered_loader(digits_shards, cache="host"), 5), undisturbed[:5])
    assert "images aren't cached" in caplog.messages[-1] and "GiB" in caplog.messages[-1]
    monkeypatch.setattr(pipeline.feed.decoded_cache, "memory_for_cache", lambda *_: needed)
    assert_same_batches(collect(jittered_loader(digits_shards, cache="auto"), 5), undisturbed[:5])
    assert "each image is decoded once" in caplog.messages[-1]
    logged = len(caplog.messages)
    collect(jittered_loader(digits_shards, cache="auto", rank=1, world_size=2), 1)
    assert len(caplog.messages) == logged


def test_a_device_cache_needs_a_gpu(
    digits_shards: Path, undisturbed: list[Batch], caplog: pytest.LogCaptureFixture
) -> None:
    assert_same_batches(collect(jittered_loader(digits_shards, cache="device"), 5), undisturbed[:5])
    assert "--cache device needs a GPU" in caplog.messages[0]


@pytest.mark.gpu
@pytest.mark.parametrize("cache", ["host", "device"])
def test_cached_batches_on_a_gpu_have_the_same_bits(digits_shards: Path, cache: str) -> None:
    dataset = Dataset(digits_shards)
    plain, cached = (
        collect(
            train_loader(
                dataset,
                PipelineConfig(seed=5, threads=1, cache=mode),
                global_batch_size=GLOBAL_BATCH_SIZE,
                device=torch.device("cuda"),
                end_position=2 * dataset.manifest.splits["train"].samples,
            )
        )
        for mode in ("none", cache)
    )
    assert_same_batches(cached, plain)


def test_an_image_of_another_size_than_indexed_is_bad(copied_shards: Path) -> None:
    rows = np.load(copied_shards / "train.samples.npy")
    rows["height"][5] += 1
    replace_table(copied_shards, "train.samples.npy", rows)
    loader = jittered_loader(copied_shards, cache="host", epochs=1)
    collect(loader)
    ((name, reason),) = loader.bad_samples()
    assert name == Dataset(copied_shards).split("train").describe(5)
    assert reason == "it is 8x8 px, its index says 8x9"


def test_the_decoder_finds_an_undecodable_image_in_a_batch() -> None:
    config = GraphConfig(
        batch_size=3,
        parameter_names=(),
        operations=2,
        erased_color=(0.0, 0.0, 0.0),
        device_id=None,
        threads=1,
        prefetch=1,
        hw_decoder_load=0,
    )
    import cv2

    _, png = cv2.imencode(".png", np.arange(48, dtype=np.uint8).reshape(4, 4, 3))
    images, bad = FullImageDecoder(config)({0: png, 4: np.zeros(50, np.uint8), 9: png})
    assert set(images) == {0, 9} and set(bad) == {4}
    assert "DALI can't decode it" in bad[4]
    expected = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)[..., ::-1]
    assert np.array_equal(np.asarray(images[9]), expected)
