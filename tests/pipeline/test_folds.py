"""Loaders of a fold: the same batches at any world size and position, from the fold's samples."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.build import train_loader, val_loader
from pipeline.config import PipelineConfig
from pipeline.errors import DataError
from pipeline.fold_index import open_index
from pipeline.loader import Loader
from pipeline.plan.plan import PlannedBatch, draw_train_parameters, train_plan
from pipeline.storage.dataset import Dataset, SplitIndex
from tests.helpers.damage import damage
from tests.helpers.handmade import write_splits
from tests.helpers.loaders import CPU, assert_ranks_share_batches, assert_same_batches, collect

SAMPLES = {"train": 31, "val": 14}
GLOBAL_BATCH_SIZE = 6
FOLD = "2/5"
ORDERS: list[dict[str, Any]] = [
    {},
    {"shuffle": "off"},
    {"shuffle": "window", "shuffle_window": 2},
    {"sample_weights": "inverse-frequency"},
    {"repeats": 2},
]


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards of which some have no sample that is trained on; for reading only."""
    return write_splits(tmp_path_factory.mktemp("folds") / "shards", samples=SAMPLES, shards=9)


@pytest.fixture
def uploaded(shards: Path) -> Iterator[str]:
    filesystem = fsspec.filesystem("memory")
    for path in shards.iterdir():
        filesystem.pipe_file(f"/folds/{path.name}", path.read_bytes())
    yield "memory://folds"
    filesystem.rm("/folds", recursive=True)


def configured(**options: Any) -> PipelineConfig:
    return PipelineConfig(**{"fold": FOLD, "seed": 3, "threads": 1, "image_size": 32} | options)


def index_of(shards: Path, split: str = "train") -> SplitIndex:
    return open_index(Dataset(shards), configured(), split)


def loader(
    dataset: Dataset, *, rank: int = 0, world_size: int = 1, position: int = 0, **options: Any
) -> Loader:
    """Ends after three epochs."""
    return train_loader(
        dataset,
        configured(**options),
        global_batch_size=GLOBAL_BATCH_SIZE,
        device=CPU,
        rank=rank,
        world_size=world_size,
        position=position,
        end_position=3 * 36,
    )


def planned(
    index: SplitIndex, options: dict[str, Any], start: int, steps: range, **share: int
) -> PlannedBatch:
    plan = train_plan(
        index,
        configured(**options),
        lambda position: 32,
        start,
        end=None,
        global_batch_size=GLOBAL_BATCH_SIZE,
        **share,
    )
    return plan.planned(steps)


@settings(max_examples=40)
@given(
    options=st.sampled_from(ORDERS),
    stop=st.integers(0, 30),
    step=st.integers(0, 30),
    world_size=st.sampled_from([1, 2, 3, 6]),
)
def test_a_global_batch_is_the_same_at_any_world_size_and_after_any_stop(
    shards: Path, options: dict[str, Any], stop: int, step: int, world_size: int
) -> None:
    index, at = index_of(shards), range(stop + step, stop + step + 1)
    whole = planned(index, options, 0, at, rank=0, world_size=1)
    start, at = stop * GLOBAL_BATCH_SIZE, range(step, step + 1)
    parts = [
        planned(index, options, start, at, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    for name in ("samples", "visits"):
        joined = np.concatenate([getattr(part, name) for part in parts])
        assert np.array_equal(getattr(whole, name), joined)
    crops = np.concatenate([part.parameters.start for part in parts])
    assert np.array_equal(whole.parameters.start, crops)
    assert np.isin(whole.samples, index.rows()).all()


@pytest.mark.parametrize("options", ORDERS)
def test_an_epoch_has_the_training_samples_only(shards: Path, options: dict[str, Any]) -> None:
    index, repeats = index_of(shards), options.get("repeats", 1)
    assert len(index) == 36
    steps = range(36 * repeats // GLOBAL_BATCH_SIZE)
    seen = planned(index, options, 0, steps, rank=0, world_size=1).samples
    if "sample_weights" in options:
        assert np.isin(seen, index.rows()).all()
    else:
        assert np.array_equal(np.sort(seen), np.repeat(index.rows(), repeats))


def test_a_crop_does_not_depend_on_the_fold(shards: Path) -> None:
    """That of a row of train is its crop without folds."""
    index, train = index_of(shards), Dataset(shards).split("train")
    rows = index.rows()[index.rows() < SAMPLES["train"]]
    visits = np.full(len(rows), 4)
    crops = [draw_train_parameters(part, configured(), visits, rows, 32) for part in (index, train)]
    assert np.array_equal(crops[0].start, crops[1].start)
    assert np.array_equal(crops[0].mirror, crops[1].mirror)


def test_ranks_share_the_batches_of_the_fold_and_validate_each_held_out_sample(
    shards: Path,
) -> None:
    dataset, held_out = Dataset(shards), index_of(shards, "val")
    whole = collect(loader(dataset))
    ranks = [
        collect(loader(dataset, rank=rank, world_size=2, position=5 * GLOBAL_BATCH_SIZE))
        for rank in range(2)
    ]
    assert_ranks_share_batches(ranks, whole[5:])
    labels = held_out.samples["label"]
    assert all(np.array_equal(batch.labels.numpy(), labels[batch.samples]) for batch in whole)
    validated = [
        batch
        for rank in range(2)
        for batch in collect(
            val_loader(dataset, configured(), batch_size=4, device=CPU, rank=rank, world_size=2)
        )
    ]
    samples = np.concatenate([batch.samples for batch in validated])
    assert np.array_equal(samples, held_out.rows())
    assert np.array_equal(torch.cat([b.labels for b in validated]).numpy(), labels[samples])


@pytest.mark.parametrize("shuffle", ["global", "window"])
def test_batches_from_a_url_and_from_a_cache_are_those_of_the_folder(
    shards: Path, uploaded: str, tmp_path: Path, shuffle: str
) -> None:
    local = collect(loader(Dataset(shards), shuffle=shuffle))
    assert_same_batches(collect(loader(Dataset(shards), shuffle=shuffle, cache="host")), local)
    remote = Dataset(uploaded, cache_dir=str(tmp_path))
    assert_same_batches(collect(loader(remote, shuffle=shuffle)), local)


def test_bad_samples_are_replaced_by_others_of_the_training_samples(tmp_path: Path) -> None:
    shards = write_splits(tmp_path / "shards", samples=SAMPLES)
    index = index_of(shards)
    bad = index.rows()[[3, -2]].tolist()
    assert bad[1] >= SAMPLES["train"]
    damage(shards, "train", [bad[0]])
    damage(shards, "val", [bad[1] - SAMPLES["train"]])
    with loader(Dataset(shards), max_bad=0.1) as batches:
        seen = np.concatenate([batch.samples for batch in batches])
        assert [name for name, _ in batches.bad_samples()] == [index.describe(row) for row in bad]
    assert not np.isin(seen, bad).any()
    assert np.isin(seen, index.rows()).all()


def test_a_state_belongs_to_its_fold(shards: Path) -> None:
    dataset = Dataset(shards)
    folded, plain = loader(dataset), loader(dataset, fold=None)
    state = folded.state_dict()
    assert state["fold"] == FOLD and plain.state_dict()["fold"] is None
    folded.load_state_dict(state | {"position": 12})
    assert folded.position == 12
    for other in (plain, loader(dataset, fold="3/5")):
        with pytest.raises(DataError, match=r"belongs to fold 2/5, but .* --fold and"):
            other.load_state_dict(state)
    earlier = {name: value for name, value in plain.state_dict().items() if name != "fold"}
    plain.load_state_dict(earlier | {"position": 6})
    assert plain.position == 6
    with pytest.raises(DataError, match="belongs to fold None, but this loader has fold 2/5"):
        folded.load_state_dict(earlier)
