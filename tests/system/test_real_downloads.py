"""Shards of real downloads: the same images in all forms, bad rows rejected by name."""

import tarfile
from pathlib import Path

import pyarrow.parquet as parquet

from pipeline.storage.dataset import Dataset
from tests.helpers.data import archive_of
from tests.helpers.shard_runs import Unpack, made, samples, shard


def test_five_forms_of_cifar_are_the_same_images(shared_data: Unpack, tmp_path: Path) -> None:
    source = shared_data("cifar10_kaggle_png200")
    forms = {
        "ids": ["--labels", "trainLabels.csv"],
        "no_header": ["--labels", "labels_noheader.csv"],
        "folders": ["--labels", "class_folders"],
        "interleaved": ["--labels", "pixels_rgb_interleaved.csv"],
        "planar": ["--labels", "pixels_rgb_planar.csv", "--pixel-layout", "planar"],
    }
    images = {
        name: samples(made(source, tmp_path / name, *options)) for name, options in forms.items()
    }
    assert sum(images["ids"].values()) == 200
    assert all(form == images["ids"] for form in images.values())
    # Forms that say the same about the same images are no question.
    assert samples(made(source, tmp_path / "any")) == images["ids"]


def test_imagenet_photographs_are_stored_unchanged(shared_data: Unpack, tmp_path: Path) -> None:
    source = shared_data("imagenet_sample")
    result = shard(source, tmp_path / "shards")
    assert result.exit_code == 0
    assert "'class_id' is taken as the label" in result.output
    dataset = Dataset(tmp_path / "shards")
    index = dataset.split("train")
    assert len(index) == 600 and dataset.manifest.classes[:3] == ("0", "1", "2")
    names = parquet.read_table(tmp_path / "shards" / "train.sources.parquet").column("source")
    (tar,) = [(tmp_path / "shards" / shard.name).read_bytes() for shard in index.split.shards]
    changed = [
        name
        for name, row in zip(names.to_pylist(), index.samples, strict=True)
        if tar[row["offset"] : row["offset"] + row["size"]] != (source / name).read_bytes()
    ]
    # Images that an EXIF tag rotates are encoded again.
    assert len(changed) <= 1


def test_the_labeled_test_split_of_mnist_is_val(tmp_path: Path) -> None:
    """Of the 70,000 images every 400th is used."""
    with tarfile.open(archive_of("mnist_pngs")) as archive:
        for number, member in enumerate(archive):
            if number % 400 == 0 or member.name.endswith(".csv"):
                archive.extract(member, tmp_path, filter="data")
    part = tmp_path / "mnist_pngs"
    for table in part.glob("*.csv"):
        header, *rows = table.read_text().splitlines()
        rows = [row for row in rows if (part / row.split(",")[0]).exists()]
        table.write_text("\n".join([header, *rows]) + "\n")
    result = shard(part, tmp_path / "shards")
    assert "val (drawn from train, stratified by class)" in result.output
    splits = (manifest := Dataset(tmp_path / "shards").manifest).splits
    assert splits["train"].samples >= 100 and splits["val"].samples >= 10
    assert splits["test"].samples >= 20
    assert manifest.classes == tuple("0123456789") and manifest.image_components == ("png",)


def test_a_truncated_row_is_rejected_by_name(shared_data: Unpack, tmp_path: Path) -> None:
    name = "digit_recognizer_train_1537rows_truncated_last.csv"
    result = shard(shared_data("csv_pixels"), tmp_path / "shards", "--labels", name)
    assert result.exit_code == 0 and "Rejected 1 source" in result.output
    assert f"{name} row 1539" in (tmp_path / "shards" / "rejected.csv").read_text()
    whole = made(
        shared_data("csv_pixels"),
        tmp_path / "whole",
        "--labels",
        name.replace("_truncated_last", ""),
    )
    assert samples(whole) == samples(Dataset(tmp_path / "shards"))


def test_bad_pixels_are_rejected_by_row_and_value(tmp_path: Path) -> None:
    good = ",".join(["7"] * 16)
    rows = [f"{n % 2},{good[:-1]}{n}" for n in range(40)]
    rows[3] = "1," + good.replace("7", "300", 1)
    rows[7] = "1," + good.replace("7", "x", 1)
    rows[9] = "," + good
    rows[11] = ""
    header = "label," + ",".join(f"pixel{n}" for n in range(16))
    (tmp_path / "train.csv").write_text("\r\n".join([header, *rows]))
    made(tmp_path, tmp_path / "shards", "--max-rejected", "0.1")
    assert (tmp_path / "shards" / "rejected.csv").read_text().splitlines()[1:] == [
        "train.csv row 5,\"column 'pixel0' is '300', not an integer from 0 to 255\"",
        "train.csv row 9,\"column 'pixel0' is 'x', not an integer from 0 to 255\"",
        "train.csv row 11,no label",
    ]
    assert {path.name.split(".")[0].split("-")[0] for path in (tmp_path / "shards").iterdir()} == {
        "dataset",
        "rejected",
        "train",
        "val",
    }
    sources = parquet.read_table(tmp_path / "shards" / "train.sources.parquet").column("source")
    assert len(sources) == 32 and "train.csv row 13" not in sources.to_pylist()
