"""Appends of downloads with copies."""

import csv
import shutil
from pathlib import Path

import pytest

from pipeline.errors import DataError
from pipeline.storage.dataset import Dataset
from pipeline.storage.manifest import DUPLICATES_NAME
from tests.helpers.amounts import all_or_tenth
from tests.helpers.checking import check
from tests.helpers.duplicates import two_classes, with_note, write_files
from tests.helpers.growing import append, assert_prefix, intact, origins
from tests.helpers.shard_runs import contents, made, shard
from tools.duplicates.groups import COLUMNS
from tools.writing.output_folder import Store

pytestmark = pytest.mark.usefixtures("inline_workers")
# Shards of a few samples.
SMALL = ("--val", "0.5", "--shard-size", "0.008", "--workers", "1")


def copies(files: dict[str, bytes], *, note: bool = True) -> dict[str, bytes]:
    """A copy of each file under another name, with the same pixels or the same bytes."""
    return {
        "/copy-".join(name.rsplit("/", 1)): with_note(data) if note else data
        for name, data in files.items()
    }


def rows(shards: Path) -> list[dict[str, str]]:
    """The table of duplicates that the manifest lists."""
    with Dataset(shards).file(DUPLICATES_NAME).open(newline="") as file:
        return list(csv.DictReader(file))


def stored(shards: Path) -> dict[str, str]:
    """The split of each stored source."""
    splits = Dataset(shards).manifest.splits
    return {name: split for split in splits for name, _ in origins(shards, split)}


def test_groups_of_an_append_follow_those_before(tmp_path: Path) -> None:
    first = two_classes(10)
    write_files(tmp_path / "src", first | copies(dict(list(first.items())[:4])))
    made(tmp_path / "src", tmp_path / "out", *SMALL)
    before = rows(tmp_path / "out")
    shutil.copytree(tmp_path / "out", tmp_path / "before")
    second = two_classes(12, start=100)
    second = {name.replace("/", "/new-"): data for name, data in second.items()}
    write_files(tmp_path / "src", second | copies(second))
    output = append(tmp_path)
    assert_prefix(tmp_path / "before", tmp_path / "out")
    assert f"see {tmp_path}/out/duplicates-1.csv" in output and "Leakage" not in output
    assert "not with those that stood" in output
    assert not (tmp_path / "out" / "duplicates.csv").exists()
    now = rows(tmp_path / "out")
    assert now[: len(before)] == before and tuple(now[0]) == COLUMNS
    groups = [int(row["group"]) for row in now]
    assert sorted(set(groups)) == list(range(1, 4 + 12 + 1)) and groups == sorted(groups)
    splits = stored(tmp_path / "out")
    assert all(splits.get(row["source"], "") == row["split"] for row in now)
    # Some of the pairs were drawn apart, and their copy in val was cut out.
    new = [row for row in now[len(before) :] if not row["split"]]
    assert new and f"; {len(new)} copies left out" in output
    assert intact(tmp_path / "out")
    write_files(tmp_path / "src", {"cat/last.jpg": two_classes(1, start=999)["dog/0.jpg"]})
    append(tmp_path)
    assert rows(tmp_path / "out") == now and intact(tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").glob("dup*")] == ["duplicates-2.csv"]


@pytest.mark.parametrize("words", [(), ("--changed", "store-again")])
def test_copies_that_were_left_out_stay_left_out(words: tuple[str, ...], tmp_path: Path) -> None:
    files = two_classes(8)
    names = list(files)
    left_out = copies(dict(list(files.items())[:3])) | copies(
        {names[5]: files[names[5]]}, note=False
    )
    write_files(tmp_path / "src", files | left_out)
    made(tmp_path / "src", tmp_path / "out", *SMALL, "--duplicates", "drop")
    stood = stored(tmp_path / "out")
    assert len(stood) == 8
    assert "Nothing to add" in append(tmp_path, *words)
    new = {
        f"dog/{n}-{m}.jpg": data
        for n in range(2)
        for m, data in enumerate(two_classes(3, start=50).values())
    }
    write_files(tmp_path / "src", new)
    output = append(tmp_path, *words)
    assert "Left out 4 copies that an earlier run left out (duplicates.csv)." in output
    assert "3 images have the same file as another one: one of each is stored." in output
    manifest = Dataset(tmp_path / "out").manifest
    assert manifest.history[0].arguments["duplicates"] == "drop"
    assert manifest.table_name(DUPLICATES_NAME) in manifest.files
    assert len(stored(tmp_path / "out")) == 8 + 3 and intact(tmp_path / "out")


def test_copies_of_what_stands_are_left_to_check(tmp_path: Path) -> None:
    files = two_classes(8)
    made(write_files(tmp_path / "src", files), tmp_path / "out", *SMALL)
    write_files(tmp_path / "src", copies(dict(list(files.items())[:2]), note=False))
    assert "are duplicates" not in append(tmp_path)
    assert not list((tmp_path / "out").glob("dup*"))
    result = check(tmp_path / "out", "--duplicates")
    assert "4 images in 2 groups are duplicates, all of them with equal files" in result.output


def test_copies_of_a_standing_group_are_not_divided(tmp_path: Path) -> None:
    """New images of groups that stand in train or val, and their copies in groups that are new."""
    files = {name.replace("/", "/g"): data for name, data in two_classes(16).items()}
    groups = ("--group-pattern", r"([gh]\d+)")
    made(write_files(tmp_path / "src", files), tmp_path / "out", *SMALL, *groups)
    stood = stored(tmp_path / "out")
    new = {
        name.replace(".jpg", "-2.jpg"): data
        for name, data in zip(files, two_classes(16, start=70).values(), strict=True)
    }
    other = {name.replace("/g", "/h"): data for name, data in new.items()}
    write_files(tmp_path / "src", new | other)
    output = append(tmp_path, *groups)
    splits = stored(tmp_path / "out")
    for name, split in splits.items():
        assert stood.get(name.replace("-2.jpg", ".jpg"), split) == split
    assert "Leakage" not in output and intact(tmp_path / "out")
    assert len(splits) == 48 - sum(not row["split"] for row in rows(tmp_path / "out"))


def test_given_splits_are_not_drawn_again(tmp_path: Path) -> None:
    files = {f"train/{name}": data for name, data in two_classes(6).items()}
    files |= {f"val/{name}": data for name, data in two_classes(4, start=20).items()}
    made(write_files(tmp_path / "src", files), tmp_path / "out", "--workers", "1")
    new = {f"train/cat/n{n}.jpg": data for n, data in enumerate(two_classes(3, start=50).values())}
    write_files(tmp_path / "src", new | copies(new, note=False))
    output = append(tmp_path)
    assert "same file as another one" not in output
    assert "6 images in 3 groups are duplicates" in output
    assert {split for name, split in stored(tmp_path / "out").items() if name in new} == {"train"}


def test_a_damaged_table_is_named(tmp_path: Path) -> None:
    files = two_classes(6)
    write_files(tmp_path / "src", files | copies(files, note=False))
    made(tmp_path / "src", tmp_path / "out", *SMALL)
    (tmp_path / "out" / "duplicates.csv").write_text("group\n1\n")
    result = shard(tmp_path / "src", tmp_path / "out", "--append", "--workers", "1")
    assert result.exit_code == 1 and "duplicates.csv" in result.output


@pytest.mark.parametrize("moment", all_or_tenth(range(30)))
def test_a_stopped_append_leaves_out_the_same_copies(
    moment: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped before any change of a file in the output."""
    made(write_files(tmp_path / "src", two_classes(6)), tmp_path / "before", *SMALL)
    second = {f"cat/n{n}.jpg": data for n, data in enumerate(two_classes(8, start=60).values())}
    write_files(tmp_path / "src", second | copies(second))
    shutil.copytree(tmp_path / "before", tmp_path / "whole")
    changes = _stop_at(monkeypatch, None)
    made(tmp_path / "src", tmp_path / "whole", "--append", "--workers", "1")
    assert any(not row["split"] for row in rows(tmp_path / "whole"))
    monkeypatch.undo()
    shutil.copytree(tmp_path / "before", tmp_path / "out")
    _stop_at(monkeypatch, len(changes) * (2 * moment + 1) // 60)
    assert shard(tmp_path / "src", tmp_path / "out", "--append", "--workers", "1").exit_code == 1
    monkeypatch.undo()
    before, now = contents_of_files(tmp_path / "before"), contents_of_files(tmp_path / "out")
    if now["dataset.json"] == before["dataset.json"]:
        assert {name: now[name] for name in before} == before
    made(tmp_path / "src", tmp_path / "out", "--append", "--workers", "1")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def contents_of_files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def _stop_at(monkeypatch: pytest.MonkeyPatch, moment: int | None) -> list[str]:
    """End runs before change number `moment` of a file in the output; returns the changes."""
    changes: list[str] = []
    for name in ("put", "remove"):
        whole = getattr(Store, name)

        def counted(*arguments: object, whole: object = whole) -> None:
            if len(changes) == moment:
                raise DataError("stopped")
            changes.append(str(arguments[-1]))
            whole(*arguments)  # type: ignore[operator]

        monkeypatch.setattr(Store, name, counted)
    return changes
