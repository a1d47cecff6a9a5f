"""Bad samples are replaced, by the same samples on any rank, and reported."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.build import val_loader
from pipeline.config import PipelineConfig
from pipeline.errors import DataError
from pipeline.feed.bad_samples import substitute
from pipeline.loader import Loader
from pipeline.storage.dataset import Dataset
from tests.helpers.damage import damage, random_samples
from tests.helpers.loaders import (
    CPU,
    GLOBAL_BATCH_SIZE,
    assert_ranks_share_batches,
    build_loader,
    collect,
)


def two_epochs(shards: Path, **arguments: Any) -> Loader:
    return build_loader(shards, epochs=2, seed=5, **arguments)


@pytest.mark.parametrize(
    ("fraction", "how"), [(0.01, "flip"), (0.01, "cut"), (0.1, "flip"), (0.1, "cut")]
)
def test_only_bad_samples_are_replaced(
    copied_shards: Path, digits_shards: Path, fraction: float, how: str
) -> None:
    bad = random_samples(copied_shards, "train", fraction)
    damage(copied_shards, "train", bad, how)
    loader = two_epochs(copied_shards, max_bad=0.2)
    batches, whole = collect(loader), collect(two_epochs(digits_shards))
    assert len(batches) == len(whole)
    for batch, sound in zip(batches, whole, strict=True):
        good = ~np.isin(sound.samples, bad)
        assert np.array_equal(batch.samples[good], sound.samples[good])
        mask = torch.from_numpy(good)
        assert torch.equal(batch.images[mask], sound.images[mask])
        assert not np.isin(batch.samples, bad).any()
        index = Dataset(copied_shards).split("train")
        assert np.array_equal(batch.labels.numpy(), index.samples["label"][batch.samples])
    reported = [name for name, reason in loader.bad_samples() if "crc32" in reason]
    index = Dataset(copied_shards).split("train")
    assert reported == [index.describe(sample) for sample in bad]


@pytest.mark.parametrize("world_size", [2, 3])
def test_every_rank_and_replay_has_the_same_replacements(
    copied_shards: Path, world_size: int
) -> None:
    damage(copied_shards, "train", random_samples(copied_shards, "train", 0.1))
    whole = collect(
        two_epochs(copied_shards, max_bad=0.2, read_ahead=1)
    )  # one run of DALI per step
    ranks = [
        collect(
            two_epochs(
                copied_shards,
                max_bad=0.2,
                rank=rank,
                world_size=world_size,
                position=20 * GLOBAL_BATCH_SIZE,
            )
        )
        for rank in range(world_size)
    ]
    assert_ranks_share_batches(ranks, whole[20:])


def test_undecodable_samples_are_found_and_replaced(
    copied_shards: Path, digits_shards: Path
) -> None:
    bad = [3, 700, 1200]
    damage(copied_shards, "train", bad, how="zeros")
    loader = two_epochs(copied_shards, verify="none")
    batches, whole = collect(loader), collect(two_epochs(digits_shards))
    assert len(batches) == len(whole)
    for batch, sound in zip(batches, whole, strict=True):
        good = ~np.isin(sound.samples, bad)
        assert np.array_equal(batch.samples[good], sound.samples[good])
        assert not np.isin(batch.samples, bad).any()
    index = Dataset(copied_shards).split("train")
    assert [name for name, _ in loader.bad_samples()] == [index.describe(sample) for sample in bad]
    assert all("DALI can't decode it" in reason for _, reason in loader.bad_samples())


def test_too_many_bad_samples_stop_the_run(copied_shards: Path) -> None:
    damage(copied_shards, "train", random_samples(copied_shards, "train", 0.1))
    with pytest.raises(DataError, match=r"bad samples are more than --max-bad.*tools/check"):
        collect(two_epochs(copied_shards))


def test_bad_samples_of_validation_have_label_minus_one(copied_shards: Path) -> None:
    damage(copied_shards, "val", [0, 7, 100])
    config = PipelineConfig(threads=1, max_bad=0.1)
    loader = val_loader(Dataset(copied_shards), config, batch_size=32, device=CPU)
    labels = torch.cat([batch.labels for batch in collect(loader)])
    assert torch.nonzero(labels == -1).flatten().tolist() == [0, 7, 100]
    assert len(loader.bad_samples()) == 3


def test_replacements_are_uniform_over_all_samples() -> None:
    replacements = [substitute(1, visit, 5, 0, samples=50) for visit in range(5000)]
    counts = np.bincount(replacements, minlength=50)
    # Each is drawn 100 times on average; 6 standard deviations are 60.
    assert counts.min() > 40 and counts.max() < 160
