"""--fold: the samples to train on and those held out, on shards of every task."""

from collections import Counter
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from pipeline.config import PipelineConfig
from pipeline.errors import DataError, MisuseError
from pipeline.fold_index import Folds, open_folds, open_index
from pipeline.storage.dataset import Dataset, SplitIndex
from tests.helpers.checking import TASKS
from tests.helpers.folds import folds_of_the_page
from tests.helpers.handmade import replace_table, write_shards, write_splits

COUNT = 5
SAMPLES = {"train": 31, "val": 14, "test": 6}


def opened(shards: Path, fold: str = f"1/{COUNT}") -> Folds:
    return open_folds(Dataset(shards), fold, 3)


def refusal(shards: Path, fold: str) -> str:
    with pytest.raises(MisuseError) as error:
        open_index(Dataset(shards), PipelineConfig(fold=fold, seed=3), "train")
    return error.value.message


def regroup(shards: Path, split: str, groups: list[str | None]) -> None:
    """Give the samples of a split other groups."""
    path = shards / f"{split}.sources.parquet"
    table = parquet.read_table(path).drop_columns(["group"])
    parquet.write_table(table.append_column("group", pa.array(groups, pa.string())), path)


def facts(index: SplitIndex, row: int) -> list[object]:
    """What the tables say about a row; the shard by its name."""
    sample = index.samples[row].tolist()[1:]
    other = {"segmentation": "masks", "classification": "samples"}.get(index.task, "targets")
    target = () if other == "samples" else getattr(index, other)[row].tolist()
    return [index.describe(row), sample, target]


@pytest.mark.parametrize("task", TASKS)
def test_every_sample_of_train_and_val_is_held_out_once(task: str, tmp_path: Path) -> None:
    dataset = Dataset(write_splits(tmp_path / "shards", task, samples=SAMPLES, **TASKS[task]))
    train, val, test = (dataset.split(name) for name in ("train", "val", "test"))
    assert len(train.split.shards) > 1
    held_out = []
    for number in range(1, COUNT + 1):
        config = PipelineConfig(fold=f"{number}/{COUNT}", seed=3)
        training, evaluated = (open_index(dataset, config, name) for name in ("train", "val"))
        both = np.concatenate([training.rows(), evaluated.rows()])
        assert np.array_equal(np.sort(both), np.arange(len(train) + len(val)))
        held_out += evaluated.rows().tolist()
        assert len(open_index(dataset, config, "test")) == len(test)
    assert sorted(held_out) == list(range(len(train) + len(val)))
    assert [facts(training, row) for row in range(len(held_out))] == [
        facts(index, row) for index in (train, val) for row in range(len(index))
    ]


@pytest.mark.parametrize("task", ["classification", "multi-label", "segmentation"])
def test_folds_are_those_of_the_page(task: str, tmp_path: Path) -> None:
    """One group is in train and in val; a sample without a group is alone."""
    shards = write_splits(tmp_path / "shards", task, samples=SAMPLES)
    names = {
        name: [None if row % 5 == 0 else f"group {row % 9}" for row in range(SAMPLES[name])]
        for name in ("train", "val")
    }
    for split, groups in names.items():
        regroup(shards, split, groups)
    folds = opened(shards)
    assert folds.fold_of.tolist() == folds_of_the_page(
        3,
        COUNT,
        ranks_of_the_page(folds.index),
        [name or f"row {row}" for row, name in enumerate([*names["train"], *names["val"]])],
    )
    assert "without dividing 9 groups" in folds.describe()


def ranks_of_the_page(index: SplitIndex) -> list[int]:
    if index.task == "segmentation":
        return [0] * len(index.samples)
    shown = [{label} for label in index.samples["label"].tolist()]
    if index.task == "multi-label":
        shown = [set(np.flatnonzero(row).tolist()) for row in index.targets]
    counts = Counter(label for labels in shown for label in labels)
    order = sorted(range(index.classes), key=lambda label: (counts[label], label))
    return [min(map(order.index, labels), default=index.classes) for labels in shown]


def test_shards_without_val_and_of_version_2_have_folds(tmp_path: Path) -> None:
    shards = write_shards(tmp_path / "shards", samples=24, version=2)
    folds = opened(shards, "2/3")
    assert (len(folds.training), len(folds.held_out)) == (16, 8)
    assert folds.describe() == (
        "Fold 2/3 of train: 16 samples to train on, 8 held out for evaluation, stratified by class."
    )


def test_shards_at_a_url_have_the_same_folds(tmp_path: Path) -> None:
    shards = write_splits(tmp_path / "shards", samples=SAMPLES)
    filesystem = fsspec.filesystem("memory")
    for path in shards.iterdir():
        filesystem.pipe_file(f"/folds/{path.name}", path.read_bytes())
    remote = Dataset("memory://folds", cache_dir=str(tmp_path / "cache"))
    assert np.array_equal(open_folds(remote, "1/5", 3).fold_of, opened(tmp_path / "shards").fold_of)
    filesystem.rm("/folds", recursive=True)


def test_more_folds_than_samples_or_groups_are_refused(tmp_path: Path) -> None:
    shards = write_shards(tmp_path / "shards", samples=24)
    assert refusal(shards, "1/25") == (
        f"--fold 1/25 needs at least 25 samples in train of {shards}, which has 24: use at most 24 "
        f"folds."
    )
    regroup(shards, "train", ["a", "b", "c"] * 8)
    text = refusal(shards, "1/4")
    assert "at least 4 groups, which are not divided, in" in text
    assert "which has 3: use at most 3 folds." in text
    regroup(shards, "train", ["a"] * 24)
    assert "which has 1: train without --fold." in refusal(shards, "1/2")


def test_a_fold_with_all_images_of_a_class_is_refused(tmp_path: Path) -> None:
    shards = write_shards(tmp_path / "shards", samples=24)
    rows = np.load(shards / "train.samples.npy")
    rows["label"] = np.where(rows["label"] == 2, 0, rows["label"])
    rows["label"][7] = 2
    replace_table(shards, "train.samples.npy", rows)
    number = opened(shards).fold_of[7]
    text = refusal(shards, f"{number}/{COUNT}")
    assert f"--fold {number}/{COUNT} holds out the only image of class 'unicorn'" in text
    assert "Make shards with more images of the class or without it" in text
    other = number % COUNT + 1
    description = opened(shards, f"{other}/{COUNT}").describe()
    assert f"Fold {number} would leave a class without images to train on." in description

    rows["label"][8] = 2
    replace_table(shards, "train.samples.npy", rows)
    regroup(shards, "train", [f"{row}" if row not in (7, 8) else "both" for row in range(24)])
    number = opened(shards).fold_of[7]
    assert "holds out all 2 images of class 'unicorn'" in refusal(shards, f"{number}/{COUNT}")


def test_another_number_of_folds_is_suggested_if_it_leaves_every_class(tmp_path: Path) -> None:
    """The two cats go to two folds, and a dog without a cat to the next: the first of two."""
    shards = write_shards(tmp_path / "shards", "multi-label", samples=24)
    targets = np.load(shards / "train.targets.npy")
    for cats in ([1, 1, 0], [1, 0, 0]), ([1, 0, 0], [1, 1, 0]):
        targets[:] = [0, 0, 1]
        targets[:3] = [*cats, [0, 1, 0]]
        replace_table(shards, "train.targets.npy", targets)
        folds = opened(shards, "1/2")
        if folds.fold_of[targets[:, 1] > 0].tolist() == [1, 1]:
            break
    text = refusal(shards, "1/2")
    assert "holds out all 2 images of class 'dog', so that none is left to train on" in text
    assert "use 3 folds (--fold 1/3 to 3/3), each of which leaves images of every class" in text
    open_index(Dataset(shards), PipelineConfig(fold="2/2", seed=3), "train")


def test_damaged_sources_are_refused(tmp_path: Path) -> None:
    shards = write_shards(tmp_path / "shards")
    path = shards / "train.sources.parquet"
    parquet.write_table(parquet.read_table(path)[:-1], path)
    with pytest.raises(DataError, match=r"train\.sources\.parquet does not fit the 24 samples"):
        opened(shards)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"train\.sources\.parquet can't be read \(damaged or cut"):
        opened(shards)
    path.unlink()
    with pytest.raises(DataError, match=r"sources\.parquet can't be read \(No such file"):
        opened(shards)
