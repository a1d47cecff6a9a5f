"""tools/check passes intact shards and names every error in a sentence."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.helpers.amounts import all_or_tenth
from tests.helpers.checking import TASKS, check, findings, flip, rewritten
from tests.helpers.handmade import mask, picture, restated, write_shards

ROOT = Path(__file__).parents[3]


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return write_shards(tmp_path / "shards")


@pytest.mark.parametrize("task", TASKS)
def test_intact_shards_pass(task: str, tmp_path: Path) -> None:
    shards = write_shards(tmp_path / "shards", task, **TASKS[task], rejected=[("a.jpg", "empty")])  # type: ignore[arg-type]
    result = check(shards, "--decode")
    assert result.exit_code == 0, result.output
    assert result.output == ("24 samples in 2 shards are intact, and every image can be decoded.\n")


def test_shards_of_tools_shard_pass(digits_shards: Path) -> None:
    result = check(digits_shards, "--decode")
    assert result.exit_code == 0, result.output
    assert "1,797 samples in 2 shards" in result.output


@pytest.mark.parametrize(
    ("before_image", "words"),
    [
        (512, r"the header of \d{9}\.(png|jpg) has the name"),
        (512 - 130, r"the header of \d{9}\.(png|jpg) is wrong at byte [\d,]+ of the tar"),
        (1024, r"the crc32 of \d{9}\.cls is .*; its content is '....'"),
        (1000, r"the padding after \d{9}\.cls is not zero at byte [\d,]+ of the tar"),
    ],
)
def test_a_flipped_bit_is_named(before_image: int, words: str, small: Path) -> None:
    offset = int(np.load(small / "train.samples.npy")["offset"][3])
    flip(small / "train-000000.tar", offset - before_image)
    (line,) = findings(small)
    assert line.startswith("train-000000.tar: sample 000000004 (from photos/4.jpg): ")
    assert re.search(words, line), line


def test_a_truncated_tar_names_the_first_sample_that_is_lost(small: Path) -> None:
    path = small / "train-000001.tar"
    offset = int(np.load(small / "train.samples.npy")["offset"][20])
    os.truncate(path, offset + 5)
    (line,) = findings(small, "--decode")
    assert re.match(
        r"train-000001\.tar: sample 000000023 \(from photos/23\.jpg\): the tar is [\d,]+ bytes "
        r"long, dataset\.json says [\d,]+; 4 samples, from this one on, are cut off$",
        line,
    ), line


def test_a_missing_shard_and_a_missing_table(small: Path) -> None:
    (small / "train-000000.tar").unlink()
    (small / "train-000001.idx").unlink()
    (small / "train.sources.parquet").unlink()
    assert set(findings(small)) == {
        "train-000000.tar: it can't be read (No such file or directory)",
        "train-000001.idx: it can't be read (No such file or directory)",
        "train.sources.parquet: it can't be read (No such file or directory)",
    }


def test_swapped_shards_are_recognized(small: Path) -> None:
    first, second = small / "train-000000.tar", small / "train-000001.tar"
    first.rename(small / "spare")
    second.rename(first)
    (small / "spare").rename(second)
    assert [line.split(": it holds ") for line in findings(small)] == [
        [first.name, f"{second.name}: they were swapped, or one was copied over the other"],
        [second.name, f"{first.name}: they were swapped, or one was copied over the other"],
    ]


def test_a_stale_idx_is_found(small: Path, tmp_path: Path) -> None:
    other = write_shards(tmp_path / "other", samples=26)
    shutil.copy(other / "train-000001.idx", small)
    (line,) = findings(small)
    assert line.startswith("train-000001.idx: line 1 is 'v1.2 13', the index says 'v1.2 12'")


def test_the_index_of_another_dataset(small: Path, tmp_path: Path) -> None:
    other = write_shards(tmp_path / "other", classes=("cat", "dog"), shards=3)
    shutil.copy(other / "train.samples.npy", small)
    lines = findings(small)
    assert "train.samples.npy: its sha256 differs from that in dataset.json" in lines
    assert not any(line.startswith("train-0") for line in lines)
    assert len(lines) < 24
    longer = write_shards(tmp_path / "longer", samples=30)
    shutil.copy(longer / "train.samples.npy", small)
    assert any("it is not a table of 24 samples" in line for line in findings(small))


@pytest.mark.parametrize(
    ("row", "values", "words"),
    [
        (5, {"label": 2}, r"train\.samples\.npy: sample 000000006 .*the crc32 of 000000006"),
        (5, {"label": 9}, r"train\.samples\.npy: sample 000000006 .*its label is 9"),
        (5, {"key": 3}, r"train\.samples\.npy: sample 000000003 .*not greater than 000000005"),
        (5, {"shard": 1}, r"train\.samples\.npy: sample 000000006 .*in shard 1 instead of 0"),
        (5, {"offset": 2**40}, r"train\.samples\.npy: sample 000000006 .*outside of the tar"),
        (5, {"size": 7}, r"train\.samples\.npy: sample 000000006 .*the header of"),
        (5, {"crc32": 7}, r"train\.samples\.npy: sample 000000006 .*the index says 00000007"),
        (5, {"height": 400}, r"dataset\.json: .* heights .*maximum"),
    ],
)
def test_a_wrong_index_is_reported_if_the_tar_is_intact(
    row: int, values: dict[str, int], words: str, small: Path
) -> None:
    rewritten(small / "train.samples.npy", row, **values)
    restated(small)
    lines = findings(small)
    assert any(re.match(words, line) for line in lines), lines
    assert not any("sha256" in line or line.startswith("train-0") for line in lines), lines


def test_decoding_finds_wrong_sizes_that_checksums_miss(small: Path) -> None:
    rewritten(small / "train.samples.npy", 5, height=47)
    rewritten(small / "train.samples.npy", 6, height=46)
    restated(small)
    assert check(small).exit_code == 0
    assert findings(small, "--decode") == [
        f"train-000000.tar: sample 00000000{key} (from photos/{key}.jpg): the image is {real} x "
        f"{width} px, the index says {stated} x {width} px (height x width)"
        for key, real, stated, width in ((6, 46, 47, 59), (7, 47, 46, 58))
    ]


def test_invalid_mask_values_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def invalid_mask(number: int, height: int, width: int, classes: int) -> np.ndarray:
        pixels = mask(number, height, width, classes)
        pixels[0, 0] = 7 if number == 4 else 0
        return pixels

    monkeypatch.setattr("tests.helpers.handmade.mask", invalid_mask)
    shards = write_shards(tmp_path / "shards", "segmentation")
    assert check(shards).exit_code == 0
    lines = findings(shards, "--decode")
    assert "sample 000000004" in lines[0] and "the mask has the value 7" in lines[0]


def test_an_image_that_was_damaged_before_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def encode(suffix: str, pixels: np.ndarray) -> tuple[bool, np.ndarray]:
        done, data = real(suffix, pixels)
        return done, data[: len(data) * 2 // 3] if np.array_equal(pixels, bad) else data

    real, bad = cv2.imencode, picture(5, 45, 60)
    monkeypatch.setattr(cv2, "imencode", encode)
    shards = write_shards(tmp_path / "shards")
    assert check(shards).exit_code == 0
    (line,) = findings(shards, "--decode")
    assert line.startswith(
        "train-000000.tar: sample 000000005 (from photos/5.jpg): the JPEG is cut"
    )


def test_wrong_counts_in_the_manifest_are_found(small: Path) -> None:
    path = small / "dataset.json"
    counts = json.loads(path.read_text())["splits"]
    counts["train"]["class_counts"] = [7, 9, 8]
    restated(small, splits=counts, rejected=3)
    found_counts = np.bincount(np.load(small / "train.samples.npy")["label"]).tolist()
    expected = {"rejected.csv: it lists 0 sources, dataset.json says 3"} | {
        f"dataset.json: train has {count} samples of class {name!r}, not {stated}"
        for name, count, stated in zip(
            ("cat", "dog", "unicorn"), found_counts, (7, 9, 8), strict=True
        )
        if count != stated
    }
    assert set(findings(small)) == expected and len(expected) > 1


def test_files_that_look_like_shards_are_named(small: Path) -> None:
    (small / "README.txt").touch()
    assert check(small).exit_code == 0
    shutil.copy(small / "train-000000.tar", small / "train-000007.tar")
    (small / ".unfinished").mkdir()
    # A killed run may leave the folder, which no reader opens.
    assert [line.split(": ")[0] for line in findings(small)] == ["train-000007.tar"]


def test_many_findings_are_capped(small: Path) -> None:
    for number in range(0, 9, 2):
        flip(small / "train-000000.tar", 512 + 2048 * number)
    lines = findings(small, "--findings", "2")
    assert len(lines) == 3 and re.fullmatch(r"\.\.\. and \d+ more\.", lines[-1])
    assert "in 1 file of" in check(small).stderr


def test_a_damaged_manifest_never_ends_in_a_traceback(small: Path) -> None:
    path = small / "dataset.json"
    whole = path.read_bytes()
    for byte in all_or_tenth(range(0, len(whole), len(whole) // 200)):
        flip(path, byte, byte % 7)
        check(small)
        path.write_bytes(whole)


@pytest.mark.parametrize("table", ["train.samples.npy", "train.targets.npy"])
def test_a_damaged_table_never_ends_in_a_traceback(table: str, tmp_path: Path) -> None:
    shards = write_shards(tmp_path / "shards", "multi-label")
    whole = (shards / table).read_bytes()
    for byte in all_or_tenth(range(128)):
        flip(shards / table, byte, byte % 8)
        assert any(line.startswith(f"{table}: ") for line in findings(shards))
        (shards / table).write_bytes(whole)


def test_the_executable_works_from_anywhere(small: Path) -> None:
    environment = {**os.environ, "VIRTUAL_ENV": sys.prefix}
    command = [ROOT / "tools" / "check", small.name]
    ended = subprocess.run(
        command, cwd=small.parent, env=environment, capture_output=True, text=True, check=True
    )
    assert ended.stdout == "24 samples in 2 shards are intact.\n"
