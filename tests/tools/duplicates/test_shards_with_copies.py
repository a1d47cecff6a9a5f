"""Copies in a download: where they go, what is listed, the same after a kill."""

import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as parquet
import pytest

from pipeline.errors import DataError
from pipeline.storage.dataset import Dataset
from tests.helpers.checking import check
from tests.helpers.duplicates import encoded, listed, smooth, two_classes, with_note, write_files
from tests.helpers.shard_runs import contents, made, shard
from tools.writing.duplicates import settle_duplicates
from tools.writing.output_folder import Store


def sources_of(shards: Path) -> dict[str, set[str]]:
    """The sources of each split."""
    splits = Dataset(shards).manifest.splits
    return {
        name: set(parquet.read_table(shards / f"{name}.sources.parquet")["source"].to_pylist())
        for name in splits
    }


def copied(files: dict[str, bytes], *, note: bool) -> dict[str, bytes]:
    """A copy of each file under another name."""
    return {
        name.replace("/", "/copy-"): with_note(data) if note else data
        for name, data in files.items()
    }


def test_equal_files_go_to_one_split_and_are_listed(tmp_path: Path) -> None:
    files = two_classes(30)
    copies = copied(dict(list(files.items())[:20]), note=False)
    source = write_files(tmp_path / "src", files | copies)
    result = shard(source, tmp_path / "out", "--val", "0.4")
    assert result.exit_code == 0, result.output
    assert (
        "20 images have the same file as another one: the draw keeps them together."
        in result.output
    )
    assert "40 images in 20 groups are duplicates, all of them with equal files" in result.output
    assert "Leakage" not in result.output and "Conflict" not in result.output
    groups = listed(tmp_path / "out")
    assert {frozenset(members) for _, members in groups} == {
        frozenset((name, name.replace("copy-", ""))) for name in copies
    }
    assert all(match == "file" and len(set(members.values())) == 1 for match, members in groups)
    assert {split for _, members in groups for split in members.values()} == {"train", "val"}
    assert check(tmp_path / "out", "--decode").exit_code == 0


def test_without_copies_nothing_is_written_or_said(tmp_path: Path) -> None:
    source = write_files(tmp_path / "src", two_classes(20))
    result = shard(source, tmp_path / "out")
    assert "are duplicates" not in result.output and "same file" not in result.output
    assert not (tmp_path / "out" / "duplicates.csv").exists()
    kept = made(source, tmp_path / "kept", "--duplicates", "keep")
    assert sources_of(tmp_path / "out") == sources_of(tmp_path / "kept")
    assert kept.manifest.made_by["arguments"]["duplicates"] == "keep"


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_of_equal_pixels_in_train_and_val_the_copy_in_val_is_left_out(
    suffix: str, tmp_path: Path
) -> None:
    files = two_classes(24, suffix)
    source = write_files(tmp_path / "src", files | copied(files, note=True))
    result = shard(source, tmp_path / "out", "--val", "0.5", "--shard-size", "0.01")
    assert result.exit_code == 0, result.output
    assert "Leakage" not in result.output
    groups = listed(tmp_path / "out")
    assert len(groups) == 24 and {match for match, _ in groups} == {"pixels"}
    stored = sources_of(tmp_path / "out")
    straddling = [members for _, members in groups if "" in members.values()]
    assert straddling and f"; {len(straddling)} copies left out" in result.output
    for _, members in groups:
        splits = set(members.values())
        assert splits in ({"train"}, {"val"}, {"train", ""})
        for name, split in members.items():
            assert (name in stored["train"], name in stored["val"]) == (
                split == "train",
                split == "val",
            )
    assert check(tmp_path / "out", "--decode").output.startswith(f"{48 - len(straddling)} samples")
    kept = shard(source, tmp_path / "kept", "--val", "0.5", "--duplicates", "keep")
    assert sum(map(len, sources_of(tmp_path / "kept").values())) == 48
    assert "Leakage: images with the same pixels are in several splits" in kept.output


def test_masks_and_their_classes_are_left_out_with_their_images(tmp_path: Path) -> None:
    files = dict[str, bytes]()
    for n in range(20):
        image, mask = encoded(smooth(n), ".png"), np.zeros((40, 40), np.uint8)
        # Each copy has its image's mask; few show the last class.
        mask[:20] = 255 if n % 5 else 0
        for name, data in ((f"{n}.png", image), (f"{n}b.png", with_note(image))):
            files[f"images/{name}"] = data
            files[f"masks/{name}"] = encoded(mask, ".png")
    source = write_files(tmp_path / "src", files)
    result = shard(source, tmp_path / "out", "--val", "0.5", "--shard-size", "0.02")
    assert result.exit_code == 0, result.output
    left_out = [
        m for _, members in listed(tmp_path / "out") for m, split in members.items() if not split
    ]
    assert left_out and all(name.startswith("images/") for name in left_out)
    checked = check(tmp_path / "out", "--decode")
    assert checked.exit_code == 0, checked.output
    assert checked.output.startswith(f"{40 - len(left_out)} samples")


def test_sets_of_labels_are_counted_without_the_copies_and_may_conflict(tmp_path: Path) -> None:
    rows, files = ["image,red,round,large"], dict[str, bytes]()
    for n in range(20):
        image = encoded(smooth(n))
        for name, data in ((f"{n}.jpg", image), (f"{n}b.jpg", with_note(image))):
            files[f"images/{name}"] = data
            rows.append(f"{name},{n % 2},1,{int(name == '3b.jpg')}")
    files["labels.csv"] = "\n".join(rows).encode()
    source = write_files(tmp_path / "src", files)
    result = shard(source, tmp_path / "out", "--val", "0.5", "--task", "multi-label")
    assert result.exit_code == 0, result.output
    assert "copies left out" in result.output
    assert "3.jpg is 'red|round', images/3b.jpg is 'red|round|large'" in result.output
    checked = check(tmp_path / "out", "--decode")
    assert checked.exit_code == 0, checked.output


def test_rows_of_pixels_are_compared(tmp_path: Path) -> None:
    pixels = [smooth(n, 8)[:, :, 0].ravel().tolist() for n in range(30)]
    pixels += [pixels[3], pixels[7], [max(1, value) for value in pixels[5]]]
    rows = [f"{n % 2},{','.join(map(str, row))}" for n, row in enumerate(pixels)]
    header = "label," + ",".join(f"pixel{n}" for n in range(64))
    source = write_files(tmp_path / "src", {"train.csv": "\n".join([header, *rows]).encode()})
    result = shard(source, tmp_path / "out", "--near-duplicates")
    assert result.exit_code == 0, result.output
    assert "2 images have the same file as another one" in result.output
    groups = listed(tmp_path / "out")
    assert {frozenset(members) for match, members in groups if match == "file"} == {
        frozenset({"train.csv row 5", "train.csv row 32"}),
        frozenset({"train.csv row 9", "train.csv row 33"}),
    }
    near = {frozenset(members) for match, members in groups if match.startswith("near")}
    assert frozenset({"train.csv row 7", "train.csv row 34"}) in near


def test_drop_stores_each_image_once_and_never_changes_test(tmp_path: Path) -> None:
    files = two_classes(12)
    names = list(files)
    train = {f"train/{name}": data for name, data in files.items()}
    train |= {f"train/{names[0].replace('/', '/a')}": files[names[0]]}
    train |= {f"train/{names[1].replace('/', '/b')}": with_note(files[names[1]])}
    test = {f"test/{name}": data for name, data in two_classes(6, start=100).items()}
    test |= {f"test/{names[2].replace('/', '/c')}": files[names[2]]}
    test |= {f"test/{names[3].replace('/', '/d')}": with_note(files[names[3]])}
    source = write_files(tmp_path / "src", train | test)
    result = shard(source, tmp_path / "out", "--duplicates", "drop", "--val", "0")
    assert result.exit_code == 0, result.output
    stored = sources_of(tmp_path / "out")
    assert stored["test"] == set(test)
    left_out = {
        *(name for name in train if name.endswith((names[2], names[3]))),
        *(name for name in train if "/a" in name or "/b" in name),
    }
    assert stored["train"] == set(train) - left_out
    assert "; 4 copies left out" in result.output
    assert {match: len(members) for match, members in listed(tmp_path / "out")} == {
        "file": 2,
        "pixels": 2,
    }
    listed_out = {
        name
        for _, members in listed(tmp_path / "out")
        for name, split in members.items()
        if not split
    }
    assert listed_out == left_out
    assert check(tmp_path / "out", "--decode").exit_code == 0


def test_leaks_between_given_splits_and_conflicting_labels_are_named(tmp_path: Path) -> None:
    files = {f"train/{name}": data for name, data in two_classes(10).items()}
    files |= {f"val/{name}": data for name, data in two_classes(6, start=50).items()}
    files["val/cat/leaked.jpg"] = files["train/cat/3.jpg"]
    files["train/dog/other.jpg"] = files["train/cat/5.jpg"]
    source = write_files(tmp_path / "src", files)
    result = shard(source, tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "train/cat/3.jpg in train, val/cat/leaked.jpg in val" in result.output
    assert "train/cat/5.jpg is 'cat', train/dog/other.jpg is 'dog'" in result.output
    assert sources_of(tmp_path / "out")["val"] == {name for name in files if name[:3] == "val"}


def test_a_killed_run_leaves_out_the_same_copies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after the copies were taken out of the shards, and in the middle of that."""
    files = two_classes(24)
    source = write_files(tmp_path / "src", files | copied(files, note=True))
    options = ("--val", "0.5", "--shard-size", "0.01")
    made(source, tmp_path / "whole", *options, "--workers", "1")
    for written in (3, 1000):
        out = tmp_path / f"after-{written}"
        with monkeypatch.context() as patch:
            _stop_after(patch, written)
            assert shard(source, out, *options).exit_code == 1
        result = shard(source, out, *options)
        assert result.exit_code == 0, result.output
        assert contents(out) == contents(tmp_path / "whole"), written


def _stop_after(patch: pytest.MonkeyPatch, files: int) -> None:
    """End the run when so many files were put while copies were taken out, or before publishing."""

    def settled(*arguments: Any) -> None:
        left, put = files, Store.put

        def counted(self: Store, path: Path, name: str) -> None:
            nonlocal left
            if not left:
                raise DataError("stopped")
            left -= 1
            put(self, path, name)

        patch.setattr(Store, "put", counted)
        settle_duplicates(*arguments)
        raise DataError("stopped before publishing")

    patch.setattr("tools.writing.shard_run.settle_duplicates", settled)


def test_header_checks_compare_stored_bytes(tmp_path: Path) -> None:
    files = two_classes(10)
    source = write_files(tmp_path / "src", files | copied(files, note=True))
    shutil.copy(source / "cat" / "1.jpg", source / "cat" / "same.jpg")
    result = shard(source, tmp_path / "out", "--verify", "header", "--encode", "keep")
    assert "2 images in 1 group are duplicates" in result.output
    assert "With --verify header only the stored bytes of images were compared." in result.output


def test_near_duplicates_are_listed_and_nothing_is_dropped(tmp_path: Path) -> None:
    files = two_classes(30)
    pictures = {name: smooth(int(name.split("/")[1][:-4])) for name in files}
    larger = {
        name.replace("/", "/l"): encoded(np.asarray(cv2.resize(pixels, (46, 46)), np.uint8))
        for name, pixels in list(pictures.items())[:8]
    }
    worse = {
        name.replace("/", "/w"): encoded(pixels, ".jpg", cv2.IMWRITE_JPEG_QUALITY, 90)
        for name, pixels in list(pictures.items())[8:16]
    }
    flat = {
        f"cat/flat{n}.png": encoded(np.full((9, 9, 3), 20 * n, np.uint8), ".png") for n in (1, 2)
    }
    source = write_files(tmp_path / "src", files | larger | worse | flat)
    result = shard(source, tmp_path / "out", "--near-duplicates")
    assert result.exit_code == 0, result.output
    assert "16 pairs of images are nearly the same" in result.output
    groups = listed(tmp_path / "out")
    assert all(match.startswith("near ") and int(match[5:]) <= 4 for match, _ in groups)
    expected = {frozenset((n, n.replace("/l", "/").replace("/w", "/"))) for n in larger | worse}
    assert {frozenset(members) for _, members in groups} == expected
    assert sum(map(len, sources_of(tmp_path / "out").values())) == 48


def test_near_duplicates_beside_copies_that_are_left_out(tmp_path: Path) -> None:
    """Rows of shards move when copies are taken out: the pairs stay those of similar images."""
    names = [f"cat/{n}.jpg" for n in range(12)]
    files = {name: encoded(smooth(n)) for n, name in enumerate(names)}
    larger = {
        f"cat/l{n}.jpg": encoded(np.asarray(cv2.resize(smooth(n), (46, 46)), np.uint8))
        for n in range(4)
    }
    source = write_files(tmp_path / "src", files | larger | copied(files, note=True))
    words = ("--duplicates", "drop", "--label-pattern", "([^/]+)/[^/]+$")
    result = shard(source, tmp_path / "out", "--near-duplicates", *words)
    assert result.exit_code == 0, result.output
    assert "12 copies left out" in result.output
    groups = listed(tmp_path / "out")
    near = [frozenset(members) for match, members in groups if match.startswith("near ")]
    assert len(near) == 4
    ends = [{name.replace("copy-", "").replace("/l", "/") for name in pair} for pair in near]
    assert {name for pair in ends for name in pair} == set(names[:4])
    assert all(len(pair) == 1 for pair in ends)
