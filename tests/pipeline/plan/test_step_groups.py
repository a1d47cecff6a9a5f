"""Groups of steps that DALI decodes in one run: nobody who takes the steps can tell."""

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

from pipeline.batches import Batch
from pipeline.build import train_loader, val_loader
from pipeline.config import PipelineConfig, Sizes
from pipeline.loader import Loader
from pipeline.plan.plan import Plan, val_plan
from pipeline.plan.step_groups import groups, max_group_size, prefetch_groups, step_slices
from pipeline.progressive_resize import progressive_size
from pipeline.storage.dataset import Dataset
from tests.helpers.damage import damage, some

CPU = torch.device("cpu")
# One step's bytes are read ahead: groups of one step.
ALONE = {"read_ahead": 1}


@pytest.fixture(scope="module")
def plan(digits_shards: Path) -> Plan:
    index = Dataset(digits_shards).split("val")
    sizes = Sizes(image_size_px=32, resize_px=32)
    return val_plan(index, sizes, batch_size=8, rank=0, world_size=1)


@given(steps=st.integers(0, 60) | st.none(), most=st.integers(1, 9), epoch=st.integers(1, 20))
def test_groups_are_all_steps_once(plan: Plan, steps: int | None, most: int, epoch: int) -> None:
    """In sizes that change every few steps, over any number of them."""
    size_at = progressive_size(32, 256, epochs=3, epoch_positions=epoch)
    found = list(islice(groups(replace(plan, steps=steps, image_size_at=size_at), most), 60))
    flat = [step for group in found for step in group]
    assert flat == list(range(len(flat) if steps is None else steps))
    assert all(1 <= len(group) <= most for group in found)
    assert all(len({*map(size_at, group)}) == 1 for group in found)
    # As large as they may be, and never more than twice the one before.
    for before, group in pairwise(found[:-1]):
        full = len(group) == most or size_at(group.stop) != size_at(group.start)
        assert full or len(group) >= 2 * len(before)


def test_a_group_is_bounded_by_images_bytes_and_what_is_read_ahead() -> None:
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
def test_as_many_steps_are_ready_as_asked_for(prefetch: int, most: int) -> None:
    runs = prefetch_groups(prefetch, most)
    assert prefetch <= runs * most and 1 <= runs <= prefetch
    assert runs == prefetch if most == 1 else runs <= 2 or (runs - 1) * most < prefetch


@given(samples=st.integers(1, 50), batch_size=st.integers(1, 20))
def test_only_the_last_step_may_be_short(samples: int, batch_size: int) -> None:
    parts = [np.arange(samples)[part] for part in step_slices(samples, batch_size)]
    assert np.concatenate(parts).tolist() == list(range(samples))
    assert all(len(part) == batch_size for part in parts[:-1]) and len(parts[-1])


def assert_same(ours: Loader, theirs: Loader) -> list[Batch]:
    with ours, theirs:
        found, others = list(ours), list(theirs)
    assert len(found) == len(others) > 1
    for batch, other in zip(found, others, strict=True):
        assert np.array_equal(batch.samples, other.samples)
        assert torch.equal(batch.images, other.images)
        assert torch.equal(batch.targets, other.targets)
    assert ours.bad_samples() == theirs.bad_samples()
    return found


def test_sizes_that_change_on_the_way(digits_shards: Path) -> None:
    def loader(**settings: int) -> Loader:
        config = PipelineConfig(
            threads=1, progressive_resize=(32, 96), progressive_epochs=2, **settings
        )
        # Epochs of about 1,617 samples, whose border lies within a step.
        return train_loader(
            Dataset(digits_shards),
            config,
            global_batch_size=60,
            device=CPU,
            position=1200,
            end_position=3600,
        )

    batches = assert_same(loader(), loader(**ALONE))
    assert {batch.images.shape[-1] for batch in batches} == {32, 64, 96}


def test_validation_with_a_short_step_and_bad_samples(digits_shards: Path, tmp_path: Path) -> None:
    shards = Path(shutil.copytree(digits_shards, tmp_path / "shards"))
    damage(shards, "val", [20, 37, 170])

    def loader(**settings: int) -> Loader:
        config = PipelineConfig(threads=1, max_bad=0.1, **settings)
        return val_loader(Dataset(shards), config, batch_size=16, device=CPU)

    batches = assert_same(loader(), loader(**ALONE))
    labels = torch.cat([batch.labels for batch in batches])
    assert torch.nonzero(labels == -1).flatten().tolist() == [20, 37, 170]
    assert len(batches[-1].labels) < 16


def state_checksums(shards: Path, split: str, samples: list[int]) -> None:
    """As if they had been stored as they are now."""
    index, rows = Dataset(shards).split(split).split, np.load(shards / f"{split}.samples.npy")
    for row in (rows[sample : sample + 1] for sample in samples):
        with (shards / index.shards[row["shard"][0]].name).open("rb") as tar:
            tar.seek(int(row["offset"][0]))
            row["crc32"] = zlib.crc32(tar.read(int(row["size"][0])))
    np.save(shards / f"{split}.samples.npy", rows)


def test_a_sample_is_bad_from_the_step_on_where_it_was_found(
    photographs: Path, tmp_path: Path
) -> None:
    """JPEGs that are cut off can be decoded where the window lies above the cut: their first visits
    pass, then one fails, and that in the same group."""
    shards = Path(shutil.copytree(photographs, tmp_path / "shards"))
    cut = some(shards, "train", 0.5)
    damage(shards, "train", cut, how="cut")
    state_checksums(shards, "train", cut)

    def loader(**settings: int) -> Loader:
        config = PipelineConfig(threads=1, image_size=32, repeats=4, max_bad=0.2, **settings)
        return train_loader(
            Dataset(shards), config, global_batch_size=1, device=CPU, end_position=160
        )

    ours = loader()
    batches = assert_same(ours, loader(**ALONE))
    samples = np.concatenate([batch.samples for batch in batches])
    index = Dataset(shards).split("train")
    named = {name for name, _ in ours.bad_samples()}
    passed = [sample for sample in np.unique(samples) if index.describe(int(sample)) in named]
    assert passed, "no bad sample was found after a visit that passed"
