"""Damaged samples: others take their places, the same ones whoever looks, and each is named."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.build import train_loader, val_loader
from pipeline.config import PipelineConfig
from pipeline.errors import DataError
from pipeline.feed.bad_samples import substitute
from pipeline.loader import Loader
from pipeline.storage.dataset import Dataset
from tests.helpers.damage import collected, damage, some

CPU = torch.device("cpu")
GLOBAL_BATCH_SIZE = 24


@pytest.fixture
def copied(digits_shards: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(digits_shards, tmp_path / "shards"))


def loader_of(shards: Path, **settings: object) -> Loader:
    named = {"rank": 0, "world_size": 1, "position": 0} | {
        name: settings.pop(name) for name in ("rank", "world_size", "position") if name in settings
    }
    dataset = Dataset(shards)
    return train_loader(
        dataset,
        PipelineConfig(seed=5, threads=1, **settings),  # type: ignore[arg-type]
        global_batch_size=GLOBAL_BATCH_SIZE,
        device=CPU,
        end_position=2 * dataset.manifest.splits["train"].samples,
        **named,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("fraction", "how"), [(0.01, "flip"), (0.01, "cut"), (0.1, "flip"), (0.1, "cut")]
)
def test_damage_changes_nothing_but_its_own_places(
    copied: Path, digits_shards: Path, fraction: float, how: str
) -> None:
    bad = some(copied, "train", fraction)
    damage(copied, "train", bad, how)
    loader = loader_of(copied, max_bad=0.2)
    found, whole = collected(loader), collected(loader_of(digits_shards))
    assert len(found) == len(whole)
    for batch, sound in zip(found, whole, strict=True):
        kept = ~np.isin(sound.samples, bad)
        assert np.array_equal(batch.samples[kept], sound.samples[kept])
        mask = torch.from_numpy(kept)
        assert torch.equal(batch.images[mask], sound.images[mask])
        assert not np.isin(batch.samples, bad).any()
        index = Dataset(copied).split("train")
        assert np.array_equal(batch.labels.numpy(), index.samples["label"][batch.samples])
    named = [name for name, reason in loader.bad_samples() if "crc32" in reason]
    index = Dataset(copied).split("train")
    assert named == [index.describe(sample) for sample in bad]


@pytest.mark.parametrize("world_size", [2, 3])
def test_every_rank_and_replay_sees_the_same_substitutes(copied: Path, world_size: int) -> None:
    damage(copied, "train", some(copied, "train", 0.1))
    whole = collected(loader_of(copied, max_bad=0.2, read_ahead=1))  # each step decoded alone
    ranks = [
        collected(
            loader_of(
                copied,
                max_bad=0.2,
                rank=rank,
                world_size=world_size,
                position=20 * GLOBAL_BATCH_SIZE,
            )
        )
        for rank in range(world_size)
    ]
    for batch, *parts in zip(whole[20:], *ranks, strict=True):
        assert np.array_equal(batch.samples, np.concatenate([part.samples for part in parts]))
        assert torch.equal(batch.images, torch.cat([part.images for part in parts]))


def test_what_dali_can_not_decode_is_found_and_replaced(copied: Path, digits_shards: Path) -> None:
    bad = [3, 700, 1200]
    damage(copied, "train", bad, how="zeros")
    loader = loader_of(copied, verify="none")
    found, whole = collected(loader), collected(loader_of(digits_shards))
    assert len(found) == len(whole)
    for batch, sound in zip(found, whole, strict=True):
        kept = ~np.isin(sound.samples, bad)
        assert np.array_equal(batch.samples[kept], sound.samples[kept])
        assert not np.isin(batch.samples, bad).any()
    index = Dataset(copied).split("train")
    assert [name for name, _ in loader.bad_samples()] == [index.describe(one) for one in bad]
    assert all("DALI can't decode it" in reason for _, reason in loader.bad_samples())


def test_too_many_bad_samples_stop(copied: Path) -> None:
    damage(copied, "train", some(copied, "train", 0.1))
    with pytest.raises(DataError, match=r"bad samples are more than --max-bad.*tools/check"):
        collected(loader_of(copied))


def test_a_bad_sample_of_validation_does_not_count(copied: Path) -> None:
    damage(copied, "val", [0, 7, 100])
    config = PipelineConfig(threads=1, max_bad=0.1)
    loader = val_loader(Dataset(copied), config, batch_size=32, device=CPU)
    labels = torch.cat([batch.labels for batch in collected(loader)])
    assert torch.nonzero(labels == -1).flatten().tolist() == [0, 7, 100]
    assert len(loader.bad_samples()) == 3


def test_a_substitute_is_any_sample() -> None:
    drawn = [substitute(1, visit, 5, 0, samples=50) for visit in range(5000)]
    counts = np.bincount(drawn, minlength=50)
    # Each is drawn 100 times on average; 6 standard deviations are 60.
    assert counts.min() > 40 and counts.max() < 160
