"""What tools/shard says about a download, and the options that say otherwise."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.storage.dataset import Dataset
from tests.helpers.downloads import download
from tests.helpers.shard_runs import made, shard
from tests.helpers.small_downloads import lines, pictures


def leaves(folder: Path) -> Path:
    files = pictures(*(f"{k}/{n}.png" for k in ("ash", "elm") for n in range(10)))
    rows = [(f"{k}/{n}.png", k, "NS"[n % 2]) for k in ("ash", "elm") for n in range(10)]
    files["a.csv"] = lines("file,tree,side", *rows[::2])
    files["b.csv"] = lines("tree,file,side", *((k, f, s) for f, k, s in rows[1::2]))
    return download(folder, files)


def test_explain_prints_each_reading_and_column(tmp_path: Path) -> None:
    src = leaves(tmp_path / "src")
    plain = shard(src, tmp_path / "out", "--dry-run")
    assert plain.exit_code == 0, plain.output
    reading = "--labels a.csv --labels b.csv: a table, classification, 20 images, 2 classes, equal"
    assert reading in plain.output and "class folders, classification, 20 images" in plain.output
    assert "'side': 2 different cells" not in plain.output
    full = shard(src, tmp_path / "out", "--dry-run", "--explain")
    assert "'side': 2 different cells, labels" in full.output


def test_several_tables_with_their_splits(tmp_path: Path) -> None:
    src = leaves(tmp_path / "src")
    options = ("--labels", "train=a.csv", "--labels", "test=b.csv", "--workers", "1")
    dataset = made(src, tmp_path / "out", *options)
    assert dataset.manifest.splits["test"].samples == 10


def test_pixels_of_16_bits_are_scaled_by_their_range(tmp_path: Path) -> None:
    files = {}
    for n in range(8):
        pixels = np.random.default_rng(n).integers(0, 1024, (12, 12)).astype(np.uint16)
        pixels[0, 0] = 1023
        files[f"{'ab'[n % 2]}/{n}.png"] = bytes(cv2.imencode(".png", pixels)[1])
    src = download(tmp_path / "src", files)
    result = shard(src, tmp_path / "out", "--workers", "1")
    assert result.exit_code == 0 and "16-bit pixels. The pixels use 10 bits" in result.output
    given = made(src, tmp_path / "given", "--workers", "1", "--pixel-range", "0", "2046")
    measured = Dataset(tmp_path / "out")
    assert measured.manifest.mean[0] == pytest.approx(2 * given.manifest.mean[0], rel=0.05)


def test_columns_of_pixels_stand_column_by_column(tmp_path: Path) -> None:
    image = np.arange(16, dtype=np.uint8).reshape(4, 4) * 10
    rows = [(n % 2, *image.T.ravel().tolist()) for n in range(4)]
    src = download(
        tmp_path / "src", {"train.csv": lines(["label", *(f"p{n}" for n in range(16))], *rows)}
    )
    options = ("--pixel-order", "column", "--workers", "1", "--encode", "png")
    dataset = made(src, tmp_path / "out", *options)
    index = dataset.split("train")
    row = index.samples[0]
    tar = (dataset.directory / index.split.shards[0].name).read_bytes()
    data = tar[row["offset"] : row["offset"] + row["size"]]
    assert np.array_equal(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED), image)


def test_run_lengths_that_contradict_the_mask_files_are_named(tmp_path: Path) -> None:
    files, rows = pictures(*(f"images/{n}.png" for n in range(6))), []
    for n in range(6):
        mask = np.zeros((9, 8), np.uint8)
        mask[n : n + 2, 2:6] = 255
        files[f"masks/{n}.png"] = bytes(cv2.imencode(".png", mask)[1])
        rows.append((f"{n}.png", f"{1 + n} 4 {30 + n} 5"))
    files["rle.csv"] = lines("ImageId,rle_mask", *rows)
    result = shard(download(tmp_path / "src", files), tmp_path / "out", "--dry-run")
    assert result.exit_code == 0, result.output
    assert "rle.csv has run lengths that differ from the mask files, such as" in result.output


def test_classes_that_differ_by_case_are_said(tmp_path: Path) -> None:
    files = pictures(*(f"{n}.jpg" for n in range(12)))
    files["t.csv"] = lines(
        "file,label", *((f"{n}.jpg", ("Ash", "ash ", "elm")[n % 3]) for n in range(12))
    )
    result = shard(download(tmp_path / "src", files), tmp_path / "out", "--dry-run")
    assert (
        "Some classes differ by case, blanks or punctuation only: 'Ash' and 'ash'" in result.output
    )


def test_a_class_without_a_training_sample_is_said(tmp_path: Path) -> None:
    files = pictures(*(f"train/{k}/{n}.jpg" for k in "ab" for n in range(5)))
    files |= pictures(*(f"test/{k}/{n}.jpg" for k in "abc" for n in range(5)))
    result = shard(download(tmp_path / "src", files), tmp_path / "out", "--dry-run")
    assert "No training sample has 1 class: c." in result.output
