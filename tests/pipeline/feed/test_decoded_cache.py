"""Decoded images kept in memory: the same bits as without, whatever happens."""

import shutil
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import pipeline.feed.decoded_cache
from pipeline.batches import Batch
from pipeline.build import train_loader, val_loader
from pipeline.config import PipelineConfig
from pipeline.dali.decode_for_cache import FullImageDecoder
from pipeline.dali.decode_graph import GraphConfig
from pipeline.errors import DataError
from pipeline.feed.decoded_cache import image_bytes
from pipeline.loader import Loader
from pipeline.machine import available_bytes
from pipeline.mixup import mixing
from pipeline.storage.dataset import Dataset
from tests.helpers.damage import damage, some

CPU = torch.device("cpu")
GLOBAL_BATCH_SIZE = 24


def loader_of(
    shards: Path,
    *,
    rank: int = 0,
    world_size: int = 1,
    position: int = 0,
    epochs: int = 2,
    **settings: Any,
) -> Loader:
    dataset = Dataset(shards)
    return train_loader(
        dataset,
        PipelineConfig(seed=5, threads=1, color_jitter=0.2, max_bad=0.2, **settings),
        global_batch_size=GLOBAL_BATCH_SIZE,
        device=CPU,
        rank=rank,
        world_size=world_size,
        position=position,
        end_position=epochs * dataset.manifest.splits["train"].samples,
    )


def collected(loader: Loader, steps: int | None = None) -> list[Batch]:
    with loader:
        return list(islice(loader, steps))


def assert_same(ours: list[Batch], theirs: list[Batch]) -> None:
    assert len(ours) == len(theirs) > 0
    for batch, other in zip(ours, theirs, strict=True):
        assert np.array_equal(batch.samples, other.samples)
        assert torch.equal(batch.images, other.images)
        assert torch.equal(batch.labels, other.labels)


@pytest.fixture(scope="module")
def undisturbed(digits_shards: Path) -> list[Batch]:
    return collected(loader_of(digits_shards))


@pytest.fixture
def copied(digits_shards: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(digits_shards, tmp_path / "shards"))


@pytest.mark.parametrize("cache", ["host", "auto"])
def test_png_batches_are_the_same_bits(
    digits_shards: Path, undisturbed: list[Batch], cache: str
) -> None:
    assert_same(collected(loader_of(digits_shards, cache=cache)), undisturbed)


def test_two_ranks_that_resume_see_the_same(digits_shards: Path, undisturbed: list[Batch]) -> None:
    ranks = [
        collected(
            loader_of(
                digits_shards,
                cache="host",
                rank=rank,
                world_size=2,
                position=60 * GLOBAL_BATCH_SIZE,
            )
        )
        for rank in (0, 1)
    ]
    for batch, *parts in zip(undisturbed[60:], *ranks, strict=True):
        assert np.array_equal(batch.samples, np.concatenate([part.samples for part in parts]))
        assert torch.equal(batch.images, torch.cat([part.images for part in parts]))


@pytest.mark.parametrize(("how", "verify"), [("flip", "crc"), ("zeros", "none")])
def test_bad_samples_are_replaced_by_the_same(copied: Path, how: str, verify: str) -> None:
    damage(copied, "train", some(copied, "train", 0.02), how)
    settings = {"epochs": 1, "verify": verify}
    kept, plain = (loader_of(copied, cache=cache, **settings) for cache in ("host", "none"))
    assert_same(collected(kept), collected(plain))
    assert kept.bad_samples() == plain.bad_samples() != []


def test_jpeg_batches_are_the_same_bits(photographs: Path) -> None:
    settings = {"epochs": 1, "image_size": 64}
    assert_same(
        collected(loader_of(photographs, cache="host", **settings), 8),
        collected(loader_of(photographs, **settings), 8),
    )


@pytest.mark.parametrize("auto_augment", ["trivial", "rand"])
def test_all_of_augmentation_is_the_same_bits(digits_shards: Path, auto_augment: str) -> None:
    settings: dict[str, Any] = {
        **{"hue_jitter": 20.0, "auto_augment": auto_augment, "erase_probability": 0.5},
        **{"mixup_alpha": 0.2, "cutmix_alpha": 1.0},
        **{"progressive_resize": (32, 64), "progressive_epochs": 1},
    }
    kept = collected(loader_of(digits_shards, cache="host", **settings))
    plain = collected(loader_of(digits_shards, **settings))
    assert_same(kept, plain)
    assert [kept[at].images.shape[-1] for at in (0, -1)] == [32, 64]
    mix = mixing(PipelineConfig(seed=5, **settings), classes=10, batch_size=GLOBAL_BATCH_SIZE)
    assert mix is not None
    position = (len(kept) - 1) * GLOBAL_BATCH_SIZE  # in epoch 1, where nothing is decoded any more
    ours, theirs = (mix(batch.images, batch.labels, position) for batch in (kept[-1], plain[-1]))
    assert all(map(torch.equal, ours, theirs)) and not torch.equal(ours[0], kept[-1].images)


def test_a_second_epoch_reads_nothing(copied: Path) -> None:
    loader = loader_of(copied, cache="host", epochs=3)
    samples = Dataset(copied).manifest.splits["train"].samples
    with loader:
        batches = iter(loader)
        taken = list(islice(batches, samples // GLOBAL_BATCH_SIZE + 20))
        for tar in copied.glob("train-*.tar"):
            with tar.open("r+b") as file:
                file.truncate(0)
        assert len(taken) + len(list(batches)) == -(-3 * samples // GLOBAL_BATCH_SIZE)


def test_a_closed_loader_has_let_go_of_what_it_kept(copied: Path) -> None:
    loader = loader_of(copied, cache="host", epochs=1)
    first = collected(loader)
    loader.load_state_dict(loader.state_dict() | {"position": 0})
    assert_same(collected(loader), first)
    for tar in copied.glob("train-*.tar"):
        with tar.open("r+b") as file:
            file.truncate(0)
    loader.load_state_dict(loader.state_dict() | {"position": 0})
    with pytest.raises(DataError, match="is cut off"):
        collected(loader)


@pytest.mark.parametrize("world_size", [1, 2])
def test_validation_is_the_same_each_time(copied: Path, world_size: int) -> None:
    damage(copied, "val", [0, 7, 100])
    dataset = Dataset(copied)

    def loader(cache: str) -> Loader:
        return val_loader(
            dataset,
            PipelineConfig(threads=1, cache=cache, max_bad=0.1),
            batch_size=32,
            rank=world_size - 1,
            world_size=world_size,
            device=CPU,
        )

    plain = collected(loader("none"))
    with loader("host") as kept:
        assert len(kept) == len(plain)
        for _ in range(3):
            assert_same(list(kept), plain)


def test_what_does_not_fit_is_not_kept(
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
    assert_same(collected(loader_of(digits_shards, cache="host"), 5), undisturbed[:5])
    assert "images aren't cached" in caplog.messages[-1] and "GiB" in caplog.messages[-1]
    monkeypatch.setattr(pipeline.feed.decoded_cache, "memory_for_cache", lambda *_: needed)
    assert_same(collected(loader_of(digits_shards, cache="auto"), 5), undisturbed[:5])
    assert "each image is decoded once" in caplog.messages[-1]
    said = len(caplog.messages)
    collected(loader_of(digits_shards, cache="auto", rank=1, world_size=2), 1)
    assert len(caplog.messages) == said


def test_a_device_cache_needs_a_gpu(
    digits_shards: Path, undisturbed: list[Batch], caplog: pytest.LogCaptureFixture
) -> None:
    assert_same(collected(loader_of(digits_shards, cache="device"), 5), undisturbed[:5])
    assert "--cache device needs a GPU" in caplog.messages[0]


@pytest.mark.gpu
@pytest.mark.parametrize("cache", ["host", "device"])
def test_kept_on_or_for_a_gpu(digits_shards: Path, cache: str) -> None:
    dataset = Dataset(digits_shards)
    plain, kept = (
        collected(
            train_loader(
                dataset,
                PipelineConfig(seed=5, threads=1, cache=one),
                global_batch_size=GLOBAL_BATCH_SIZE,
                device=torch.device("cuda"),
                end_position=2 * dataset.manifest.splits["train"].samples,
            )
        )
        for one in ("none", cache)
    )
    assert_same(kept, plain)


def test_memory_is_what_the_container_leaves(tmp_path: Path) -> None:
    proc, cgroups = tmp_path / "proc", tmp_path / "cgroup"
    proc.mkdir()
    cgroups.mkdir()
    (proc / "meminfo").write_text("MemTotal: 900 kB\nMemAvailable: 500 kB\n")
    assert available_bytes(proc, cgroups) == 500 * 1024
    (cgroups / "memory.stat").write_text("anon 5\ninactive_file 30\n")
    (cgroups / "memory.current").write_text("130\n")
    (cgroups / "memory.max").write_text("max\n")
    assert available_bytes(proc, cgroups) == 500 * 1024
    (cgroups / "memory.max").write_text("1000\n")
    assert available_bytes(proc, cgroups) == 900


def test_an_image_of_another_size_than_indexed_is_bad(copied: Path) -> None:
    rows = np.load(copied / "train.samples.npy")
    rows["height"][5] += 1
    np.save(copied / "train.samples.npy", rows)
    loader = loader_of(copied, cache="host", epochs=1)
    collected(loader)
    ((name, reason),) = loader.bad_samples()
    assert name == Dataset(copied).split("train").describe(5)
    assert reason == "it is 8x8 px, its index says 8x9"


def test_an_undecodable_image_is_found_among_others() -> None:
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
