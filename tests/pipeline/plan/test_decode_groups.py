"""Grouping steps into runs of DALI does not change the batches."""

import shutil
import zlib
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.batch import Batch
from pipeline.build import train_loader, val_loader
from pipeline.config import PipelineConfig
from pipeline.loader import Loader
from pipeline.plan.decode_groups import groups, max_group_size, prefetch_groups, step_slices
from pipeline.plan.plan import Plan, val_plan
from pipeline.progressive_resize import progressive_size
from pipeline.sizes import Sizes
from pipeline.storage.dataset import Dataset
from tests.helpers.damage import damage, random_samples
from tests.helpers.handmade import replace_table
from tests.helpers.loaders import CPU, assert_same_batches, collect

# One step is read ahead, so groups have one step.
UNGROUPED = {"read_ahead": 1}


@pytest.fixture(scope="module")
def plan(digits_shards: Path) -> Plan:
    index = Dataset(digits_shards).split("val")
    sizes = Sizes(image_size_px=32, resize_px=32)
    return val_plan(index, sizes, np.arange(len(index)), batch_size=8)


@given(steps=st.integers(0, 60) | st.none(), most=st.integers(1, 9), epoch=st.integers(1, 20))
def test_groups_have_all_steps_once(plan: Plan, steps: int | None, most: int, epoch: int) -> None:
    """With image sizes that change every few steps."""
    size_at = progressive_size(32, 256, epochs=3, epoch_positions=epoch)
    step_groups = list(islice(groups(replace(plan, steps=steps, image_size_at=size_at), most), 60))
    flat = [step for group in step_groups for step in group]
    assert flat == list(range(len(flat) if steps is None else steps))
    assert all(1 <= len(group) <= most for group in step_groups)
    assert all(len({*map(size_at, group)}) == 1 for group in step_groups)
    # Each is as large as allowed, at most twice the one before.
    for before, group in pairwise(step_groups[:-1]):
        full = len(group) == most or size_at(group.stop) != size_at(group.start)
        assert full or len(group) >= 2 * len(before)


def test_group_size_is_limited_by_images_bytes_and_read_ahead() -> None:
    def most(batch_size: int, **others: int) -> int:
        fixed = {"image_bytes": 2**19, "read_ahead": 16, "on_gpu": False, "checked": True}
        return max_group_size(batch_size=batch_size, **(fixed | others))  # type: ignore[arg-type]

    assert [most(size) for size in (1, 16, 32, 64, 100, 128, 129, 256, 1000)] == [
        *(16, 16, 8, 4, 2, 2, 1, 1, 1)
    ]
    assert most(64, read_ahead=3) == 3 and most(64, read_ahead=1) == 1
    assert most(64, image_bytes=2**21) == 2 and most(64, image_bytes=2**30) == 1
    assert most(1, on_gpu=True) == most(1, checked=False) == 1


@given(prefetch=st.integers(1, 40), most=st.integers(1, 16))
def test_prefetched_groups_hold_the_prefetched_steps(prefetch: int, most: int) -> None:
    runs = prefetch_groups(prefetch, most)
    assert prefetch <= runs * most and 1 <= runs <= prefetch
    assert runs == prefetch if most == 1 else runs <= 2 or (runs - 1) * most < prefetch


@given(samples=st.integers(1, 50), batch_size=st.integers(1, 20))
def test_only_the_last_step_has_fewer_samples(samples: int, batch_size: int) -> None:
    parts = [np.arange(samples)[part] for part in step_slices(samples, batch_size)]
    assert np.concatenate(parts).tolist() == list(range(samples))
    assert all(len(part) == batch_size for part in parts[:-1]) and len(parts[-1])


def assert_same(loader: Loader, expected: Loader) -> list[Batch]:
    batches = collect(loader)
    assert_same_batches(batches, collect(expected))
    assert loader.bad_samples() == expected.bad_samples()
    return batches


def test_groups_do_not_change_batches_of_changing_image_sizes(digits_shards: Path) -> None:
    def loader(**settings: int) -> Loader:
        config = PipelineConfig(
            threads=1, progressive_resize=(32, 96), progressive_epochs=2, **settings
        )
        # Epochs have 1,617 samples: they end within a step.
        return train_loader(
            Dataset(digits_shards),
            config,
            global_batch_size=60,
            device=CPU,
            position=1200,
            end_position=3600,
        )

    batches = assert_same(loader(), loader(**UNGROUPED))
    assert {batch.images.shape[-1] for batch in batches} == {32, 64, 96}


def test_groups_do_not_change_validation_with_a_short_step_and_bad_samples(
    digits_shards: Path, tmp_path: Path
) -> None:
    shards = Path(shutil.copytree(digits_shards, tmp_path / "shards"))
    damage(shards, "val", [20, 37, 170])

    def loader(**settings: int) -> Loader:
        config = PipelineConfig(threads=1, max_bad=0.1, **settings)
        return val_loader(Dataset(shards), config, batch_size=16, device=CPU)

    batches = assert_same(loader(), loader(**UNGROUPED))
    labels = torch.cat([batch.labels for batch in batches])
    assert torch.nonzero(labels == -1).flatten().tolist() == [20, 37, 170]
    assert len(batches[-1].labels) < 16


def state_checksums(shards: Path, split: str, samples: list[int]) -> None:
    """Write the current checksums into the index."""
    index, rows = Dataset(shards).split(split).split, np.load(shards / f"{split}.samples.npy")
    for row in (rows[sample : sample + 1] for sample in samples):
        with (shards / index.shards[row["shard"][0]].name).open("rb") as tar:
            tar.seek(int(row["offset"][0]))
            row["crc32"] = zlib.crc32(tar.read(int(row["size"][0])))
    replace_table(shards, f"{split}.samples.npy", rows)


def test_groups_do_not_change_the_step_that_finds_a_bad_sample(
    photographs: Path, tmp_path: Path
) -> None:
    """A truncated JPEG can be decoded if the crop is above the end: its first visits pass, then one
    fails, in the same group."""
    shards = Path(shutil.copytree(photographs, tmp_path / "shards"))
    cut = random_samples(shards, "train", 0.5)
    damage(shards, "train", cut, how="cut")
    state_checksums(shards, "train", cut)

    def loader(**settings: int) -> Loader:
        config = PipelineConfig(threads=1, image_size=32, repeats=4, max_bad=0.2, **settings)
        return train_loader(
            Dataset(shards), config, global_batch_size=1, device=CPU, end_position=160
        )

    grouped = loader()
    batches = assert_same(grouped, loader(**UNGROUPED))
    samples = np.concatenate([batch.samples for batch in batches])
    index = Dataset(shards).split("train")
    reported = {name for name, _ in grouped.bad_samples()}
    passed = [sample for sample in np.unique(samples) if index.describe(int(sample)) in reported]
    assert passed, "no bad sample was found after a visit that passed"
