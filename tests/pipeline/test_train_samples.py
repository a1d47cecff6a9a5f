"""--train-samples: the part of each task's shards, alone and of a fold, and its loaders."""

from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.build import train_loader, val_loader
from pipeline.config import PipelineConfig
from pipeline.errors import DataError, MisuseError
from pipeline.fold_index import describe_part, open_index
from pipeline.loader import Loader
from pipeline.plan.plan import draw_train_parameters, train_plan
from pipeline.storage.dataset import Dataset
from tests.helpers.checking import TASKS
from tests.helpers.handmade import replace_table, write_shards, write_splits
from tests.helpers.loaders import CPU, assert_ranks_share_batches, collect
from tests.helpers.parts import part_of_the_page

SAMPLES = {"train": 31, "val": 14, "test": 6}
GLOBAL_BATCH_SIZE = 6
ORDERS: list[dict[str, Any]] = [
    {},
    {"shuffle": "window", "shuffle_window": 2},
    {"sample_weights": "inverse-frequency"},
    {"repeats": 2},
]


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_splits(tmp_path_factory.mktemp("part") / "shards", samples=SAMPLES, shards=5)


def configured(part: str | None = "40%", **options: Any) -> PipelineConfig:
    fixed = {"train_samples": part, "seed": 3, "threads": 1, "image_size": 32}
    return PipelineConfig(**{**fixed, **options})


def refusal(shards: Path, part: str, **options: Any) -> str:
    with pytest.raises(MisuseError) as error:
        open_index(Dataset(shards), configured(part, **options), "train")
    return error.value.message


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("fold", [None, "2/5"])
def test_the_part_of_each_task_is_that_of_the_page(
    task: str, fold: str | None, tmp_path: Path
) -> None:
    dataset = Dataset(write_splits(tmp_path / "shards", task, samples=SAMPLES, **TASKS[task]))
    whole, val, test = (
        open_index(dataset, configured(None, fold=fold), name) for name in ("train", "val", "test")
    )
    rows = whole.rows()
    shown: list[set[int]] = [set() for _ in rows]
    if task == "classification":
        shown = [{label} for label in whole.samples["label"][rows].tolist()]
    elif task == "multi-label":
        shown = [set(np.flatnonzero(row).tolist()) for row in whole.targets[rows]]
    counts = [sum(label in labels for labels in shown) for label in range(whole.classes)]
    by_rarity = sorted(range(whole.classes), key=lambda label: (counts[label], label))
    shown = [{by_rarity.index(label) for label in labels} for labels in shown]
    none = whole.classes if task == "multi-label" else 0
    ranks = [min(labels, default=none) for labels in shown]
    for part, count in (("9", 9), ("40%", {31: 12, 36: 14}[len(rows)]), ("100%", len(rows))):
        index = open_index(dataset, configured(part, fold=fold), "train")
        # Tasks without classes in their tables begin with any sample.
        classes = shown if any(shown) else [{0} for _ in rows]
        expected, _ = part_of_the_page(3, count, rows.tolist(), ranks, classes)
        assert index.rows().tolist() == expected
    for name, same in (("val", val), ("test", test)):
        other = open_index(dataset, configured("9", fold=fold), name)
        assert np.array_equal(other.rows(), same.rows())


@settings(max_examples=30)
@given(
    options=st.sampled_from(ORDERS),
    stop=st.integers(0, 20),
    step=st.integers(0, 20),
    world_size=st.sampled_from([1, 2, 3, 6]),
    fold=st.sampled_from([None, "2/5"]),
)
def test_a_global_batch_is_the_same_at_any_world_size_and_after_any_stop(
    shards: Path, options: dict[str, Any], stop: int, step: int, world_size: int, fold: str | None
) -> None:
    config = configured(**options, fold=fold)
    index = open_index(Dataset(shards), config, "train")

    def planned(start: int, at: int, **share: int) -> tuple[list[int], list[int]]:
        sizes: Any = {"end": None, "global_batch_size": GLOBAL_BATCH_SIZE}
        plan = train_plan(index, config, lambda _: 32, start, **sizes, **share)
        batch = plan.batch_at(at)
        return batch.samples.tolist(), batch.visits.tolist()

    whole = planned(0, stop + step, rank=0, world_size=1)
    parts = [
        planned(stop * GLOBAL_BATCH_SIZE, step, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    assert whole == tuple([*chain(*lists)] for lists in zip(*parts, strict=True))
    assert set(whole[0]) <= set(index.rows().tolist())


def loader(dataset: Dataset, part: str | None = "40%", **options: Any) -> Loader:
    """Two epochs of the part."""
    fixed: dict[str, Any] = {"global_batch_size": GLOBAL_BATCH_SIZE, "device": CPU}
    return train_loader(dataset, configured(part), **fixed, end_position=24, **options)


def test_ranks_share_the_batches_of_the_part_and_validate_all_of_val(shards: Path) -> None:
    dataset = Dataset(shards)
    whole = collect(loader(dataset))
    ranks = [collect(loader(dataset, rank=rank, world_size=2, position=6)) for rank in range(2)]
    assert_ranks_share_batches(ranks, whole[1:])
    part = open_index(dataset, configured(), "train").rows()
    for epoch in (whole[:2], whole[2:]):
        assert np.array_equal(np.sort(np.concatenate([b.samples for b in epoch])), part)
    batches = collect(val_loader(dataset, configured(), batch_size=4, device=CPU))
    assert np.concatenate([batch.samples for batch in batches]).tolist() == list(range(14))


def test_a_crop_does_not_depend_on_the_part(shards: Path) -> None:
    indexes = [
        open_index(Dataset(shards), configured(part), "train") for part in ("10%", "80%", None)
    ]
    rows = indexes[0].rows()
    assert len(rows) == 3 and np.isin(rows, indexes[1].rows()).all()
    visits = np.full(len(rows), 4)
    first, *others = (
        draw_train_parameters(index, configured(), visits, rows, 32) for index in indexes
    )
    for other in others:
        assert np.array_equal(first.start, other.start)
        assert np.array_equal(first.mirror, other.mirror)


def test_a_state_belongs_to_its_part(shards: Path) -> None:
    dataset = Dataset(shards)
    part, plain = loader(dataset), loader(dataset, None)
    state = part.state_dict()
    part.load_state_dict(state | {"position": 12})
    assert part.position == 12
    for other in (plain, loader(dataset, "50%")):
        with pytest.raises(DataError, match=r"to train_samples 40%, .* and --train-samples"):
            other.load_state_dict(state)
    earlier = plain.state_dict() | {"position": 6}
    del earlier["train_samples"]
    plain.load_state_dict(earlier)
    assert plain.position == 6


def test_a_part_that_can_not_be_drawn_is_refused_with_the_number(tmp_path: Path) -> None:
    shards = write_shards(tmp_path / "shards", samples=24)
    assert refusal(shards, "25") == (
        f"--train-samples 25 is more than the 24 samples of train of {shards}: give at most 24, or "
        f"100%."
    )
    assert refusal(shards, "5%") == (
        f"--train-samples 5% is 1 of the 24 samples of train of {shards}, too few for a sample of "
        f"each class: give at least 3."
    )
    assert "is more than the 16 samples of all folds but 1/3" in refusal(shards, "17", fold="1/3")
    numbers = write_shards(tmp_path / "numbers", "regression", classes=(), targets=("a",))
    assert "is 0 of the 24 samples of train" in refusal(numbers, "1%")
    assert "too few to train on: give at least 1." in refusal(numbers, "1%")


def test_a_rare_class_keeps_a_sample(tmp_path: Path) -> None:
    shards = write_shards(tmp_path / "shards", samples=24)
    table = np.load(shards / "train.samples.npy")
    table["label"] = 0
    table["label"][[5, 11]] = 1, 2
    replace_table(shards, "train.samples.npy", table)
    part = open_index(Dataset(shards), configured("4"), "train")
    assert part.class_counts.tolist() == [2, 1, 1]
    assert describe_part(Dataset(shards), configured("4")) == (
        "Training on 4 of the 24 samples of train (--train-samples 4), of each class in proportion "
        "and at least one."
    )
