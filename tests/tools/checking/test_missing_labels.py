"""tools/check finds a target that was removed or added, and labels that only test may lack."""

import hashlib
import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from pipeline.storage.manifest import TARGET_COMPONENTS
from tests.helpers.checking import TASKS, check, findings, rewritten
from tests.helpers.handmade import restated, write_shards

UNLABELED = range(0, 24, 3)


def made(folder: Path, task: str = "classification", split: str = "test") -> Path:
    options = {"split": split, "unlabeled": UNLABELED, **TASKS[task]}
    return write_shards(folder / "shards", task, **options)  # type: ignore[arg-type]


def change_tar(path: Path, *, drop: str = "", before: str = "", add: str = "") -> None:
    """Write the tar again without the member `drop`, or with a member `add` before `before`."""
    with tarfile.open(path) as old:
        members = [(member, old.extractfile(member)) for member in old.getmembers()]
        pieces = [(member.name, file.read() if file else b"") for member, file in members]
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as new:
        for name, data in pieces:
            for stored, content in [(add, b"0001")] * (name == before) + [(name, data)]:
                if stored != drop:
                    info = tarfile.TarInfo(stored)
                    info.size = len(content)
                    new.addfile(info, io.BytesIO(content))


def stated_again(shards: Path) -> Path:
    """The manifest with the sums and sizes of all files as they are now."""
    splits = json.loads((shards / "dataset.json").read_text())["splits"]
    for split in splits.values():
        for shard in split["shards"]:
            data = (shards / shard["name"]).read_bytes()
            shard |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    return restated(shards, splits=splits)


@pytest.mark.parametrize("task", TASKS)
def test_a_test_split_may_lack_labels(task: str, tmp_path: Path) -> None:
    result = check(made(tmp_path, task), "--decode")
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("task", TASKS)
def test_other_splits_may_not(task: str, tmp_path: Path) -> None:
    lines = findings(made(tmp_path, task, split="train"))
    what = {"classification": "label", "segmentation": "mask"}.get(task, "targets")
    text = f"it has no {what} in the index, which only samples of test may lack"
    assert len(lines) == len(UNLABELED)
    assert all(line.endswith(text) for line in lines)


@pytest.mark.parametrize("task", TASKS)
def test_a_removed_target_is_found(task: str, tmp_path: Path) -> None:
    shards = made(tmp_path, task)
    name = f"000000001.{TARGET_COMPONENTS[task]}"
    change_tar(shards / "test-000000.tar", drop=name)
    assert any("test-000000.tar" in line for line in findings(shards))
    (first, *_) = findings(stated_again(shards))
    assert first.startswith("test.samples.npy: sample 000000001 (from photos/1.jpg): the header")


@pytest.mark.parametrize("task", TASKS)
def test_an_added_target_is_found(task: str, tmp_path: Path) -> None:
    shards = made(tmp_path, task)
    image = "000000000.jpg"
    change_tar(shards / "test-000000.tar", before=image, add=f"000000000.{TARGET_COMPONENTS[task]}")
    assert any("test-000000.tar" in line for line in findings(shards))
    assert any("sample 000000000" in line for line in findings(stated_again(shards)))


def test_a_label_in_the_index_needs_a_target(tmp_path: Path) -> None:
    shards = made(tmp_path)
    rewritten(shards / "test.samples.npy", 3, label=1)
    lines = findings(restated(shards))
    assert any("sample 000000004" in line and "the header" in line for line in lines), lines
    assert "dataset.json: test has 17 labeled samples, not 16" in lines


def test_a_target_needs_a_label_in_the_index(tmp_path: Path) -> None:
    shards = made(tmp_path)
    rewritten(shards / "test.samples.npy", 1, label=-1)
    lines = findings(restated(shards))
    assert "dataset.json: test has 15 labeled samples, not 16" in lines
    assert any("it doesn't start where the sample before it ends" in line for line in lines), lines


def test_targets_are_nan_as_a_whole(tmp_path: Path) -> None:
    shards = made(tmp_path, "regression")
    table = np.load(shards / "test.targets.npy")
    table[1, 0] = np.nan
    np.save(shards / "test.targets.npy", table)
    assert any("some of its targets are NaN" in line for line in findings(restated(shards)))


def test_fields_of_no_mask_are_zero(tmp_path: Path) -> None:
    shards = made(tmp_path, "segmentation")
    rewritten(shards / "test.masks.npy", 0, offset=512)
    (line,) = findings(restated(shards))
    assert line.endswith(
        "its mask has the size 0 in the index, but not the offset 0 and the crc32 0"
    )


def test_the_manifest_counts_the_labeled(tmp_path: Path) -> None:
    shards = made(tmp_path, "regression")
    splits = json.loads((shards / "dataset.json").read_text())["splits"]
    splits["test"]["labeled"] = 12
    (line,) = findings(restated(shards, splits=splits))
    assert line == "dataset.json: test has 16 labeled samples, not 12"
    splits["test"]["labeled"] = 25
    restated(shards, splits=splits)
    assert "splits.test.labeled is 25, not a whole number" in check(shards).output
