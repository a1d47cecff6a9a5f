"""Tables are held in memory, and checked by hash and bounds when they are first used."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import DataError
from pipeline.storage import tables
from pipeline.storage.dataset import Dataset
from tests.helpers.checking import TASKS, flip
from tests.helpers.handmade import restated, write_shards
from tests.helpers.loaders import build_loader, collect


@pytest.mark.parametrize(
    ("table", "field", "value", "expected"),
    [
        ("samples", "shard", 7, "must be that of the order"),
        ("samples", "key", 0, "must be greater than the key before"),
        ("samples", "offset", 2**63, "must be within the tar's bytes"),
        ("samples", "size", 2**31, "must be within the tar's bytes"),
        ("samples", "size", 0, "must be from 1 to"),
        ("samples", "label", -100, "must be from 0 to 2"),
        ("samples", "label", 3, "must be from 0 to 2"),
        ("samples", "height", 4_000_000_000, "must be from 40 to 48"),
        ("samples", "width", 0, "must be from 56 to 60"),
        ("masks", "offset", 2**63, "must be within the tar's bytes"),
        ("masks", "size", 2**31, "must be within the tar's bytes"),
    ],
)
def test_a_value_out_of_its_range_is_named(
    table: str, field: str, value: int, expected: str, tmp_path: Path
) -> None:
    task = "segmentation" if table == "masks" else "classification"
    shards = write_shards(tmp_path / "shards", task)
    path = shards / f"train.{table}.npy"
    rows = np.load(path)
    rows[field][13] = value
    np.save(path, rows)
    with pytest.raises(DataError) as caught:
        _ = getattr(Dataset(restated(shards)).split("train"), table)
    assert caught.value.message.startswith(f"{path} has the {field} {value} in row 13, which must")
    assert expected in caught.value.message


@pytest.mark.parametrize(
    ("task", "value"), [("regression", np.inf), ("regression", np.nan), ("multi-label", 0.5)]
)
def test_targets_out_of_their_range_are_named(task: str, value: float, tmp_path: Path) -> None:
    shards = write_shards(tmp_path / "shards", task, **TASKS[task])  # type: ignore[arg-type]
    path = shards / "train.targets.npy"
    targets = np.load(path)
    targets[13, 1] = value
    np.save(path, targets)
    with pytest.raises(DataError, match=rf"has the target 1 {value} in row 13, which must be"):
        _ = Dataset(restated(shards)).split("train").targets


def test_another_number_of_labels_is_refused(tmp_path: Path) -> None:
    shards = write_shards(tmp_path / "shards")
    rows = np.load(shards / "train.samples.npy")
    rows["label"][13] = (rows["label"][13] + 1) % 3
    np.save(shards / "train.samples.npy", rows)
    with pytest.raises(DataError, match="has other class_counts than dataset"):
        Dataset(restated(shards)).split("train")


@pytest.mark.parametrize("held_bytes", [0, tables.HELD_BYTES])
@pytest.mark.parametrize("task", TASKS)
def test_a_flipped_bit_is_found(
    task: str, held_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In tables that are held and in those that are mapped."""
    monkeypatch.setattr(tables, "HELD_BYTES", held_bytes)
    shards = write_shards(tmp_path / "shards", task, **TASKS[task])  # type: ignore[arg-type]

    def use() -> list[Any]:
        index = Dataset(shards).split("train")
        used = [index.samples]
        used += [index.masks] if task == "segmentation" else []
        return used + ([index.targets] if (shards / "train.targets.npy").exists() else [])

    assert all(len(table) == 24 and not table.flags.writeable for table in use())
    for path in shards.glob("*.npy"):
        for place in (0, 60, 200):
            flip(path, place)
            with pytest.raises(DataError, match="sha256 differs"):
                use()
            flip(path, place)


def test_a_table_truncated_during_the_run_does_no_harm(copied_shards: Path) -> None:
    loader = build_loader(copied_shards)
    os.truncate(copied_shards / "train.samples.npy", 100)
    assert len(collect(loader, 2)) == 2


def test_a_fifo_is_no_table(tmp_path: Path) -> None:
    shards = write_shards(tmp_path / "shards")
    (shards / "train.samples.npy").unlink()
    os.mkfifo(shards / "train.samples.npy")
    with pytest.raises(DataError, match="is not a file"):
        Dataset(shards).split("train")
