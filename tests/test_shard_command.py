"""The whole command: real downloads, bad input, the same bytes every time."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as parquet
import pytest
from click.testing import CliRunner, Result

from pipeline.dataset import Dataset
from tools.cli import main

ROOT = Path(__file__).parents[1]
Unpack = Callable[[str], Path]


def shard(src: Path, out: Path, *arguments: str) -> Result:
    result = CliRunner().invoke(main, ["--src", str(src), "--out", str(out), *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def made(src: Path, out: Path, *arguments: str) -> Dataset:
    result = shard(src, out, *arguments)
    assert result.exit_code == 0, result.output
    return Dataset(out)


def samples(dataset: Dataset) -> Counter[tuple[int, str]]:
    """(label, hash of the pixels) of all samples of all splits."""
    found: Counter[tuple[int, str]] = Counter()
    for split in dataset.manifest.splits:
        index = dataset.split(split)
        tars = [(dataset.directory / shard.name).read_bytes() for shard in index.split.shards]
        for row in index.samples:
            data = tars[row["shard"]][row["offset"] : row["offset"] + row["size"]]
            pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
            found[int(row["label"]), hashlib.md5(pixels.tobytes()).hexdigest()] += 1
    return found


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def photographs(folder: Path, suffix: str = ".png", count: int = 24, side: int = 80) -> Path:
    """Two class folders of smooth noise."""
    generator = np.random.default_rng(1)
    for number in range(count):
        coarse = generator.integers(0, 256, (5, 5, 3), np.uint8)
        path = folder / ("cat" if number % 3 else "dog") / f"{number}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC))
    return folder


def test_five_forms_of_cifar_are_the_same_images(shared_data: Unpack, tmp_path: Path) -> None:
    source = shared_data("cifar10_kaggle_png200")
    forms = {
        "ids": ["--labels", "trainLabels.csv"],
        "no_header": ["--labels", "labels_noheader.csv"],
        "folders": ["--labels", "class_folders"],
        "interleaved": ["--labels", "pixels_rgb_interleaved.csv"],
        "planar": ["--labels", "pixels_rgb_planar.csv", "--pixel-layout", "planar"],
    }
    found = {
        name: samples(made(source, tmp_path / name, *options)) for name, options in forms.items()
    }
    assert sum(found["ids"].values()) == 200
    assert all(form == found["ids"] for form in found.values())
    stopped = shard(source, tmp_path / "any")
    assert stopped.exit_code == 2 and not (tmp_path / "any").exists()
    assert all(option in stopped.output for option in ("trainLabels.csv", "class_folders"))


def test_imagenet_photographs_stay_as_they_are(shared_data: Unpack, tmp_path: Path) -> None:
    source = shared_data("imagenet_sample")
    stopped = shard(source, tmp_path / "shards")
    assert stopped.exit_code == 2
    assert "--label-column wnid\n  --label-column class_id" in stopped.output
    dataset = made(source, tmp_path / "shards", "--label-column", "class_id")
    index = dataset.split("train")
    assert len(index) == 600 and dataset.manifest.classes[:3] == ("0", "1", "2")
    names = parquet.read_table(tmp_path / "shards" / "train.sources.parquet").column("source")
    (tar,) = [(tmp_path / "shards" / shard.name).read_bytes() for shard in index.split.shards]
    changed = [
        name
        for name, row in zip(names.to_pylist(), index.samples, strict=True)
        if tar[row["offset"] : row["offset"] + row["size"]] != (source / name).read_bytes()
    ]
    # Those that an EXIF tag turns.
    assert len(changed) <= 1


def test_mnist_has_its_own_validation(shared_data: Unpack, tmp_path: Path) -> None:
    whole, part = shared_data("mnist_pngs"), tmp_path / "part"
    for split, keep in (("train", 100), ("test", 50)):
        header, *rows = (whole / f"{split}.csv").read_text().splitlines()
        rows = rows[:: len(rows) // keep]
        (part / split).mkdir(parents=True)
        (part / f"{split}.csv").write_text("\n".join([header, *rows]) + "\n")
        for row in rows:
            path = part / row.split(",")[0]
            path.parent.mkdir(exist_ok=True)
            shutil.copy(whole / row.split(",")[0], path)
    result = shard(part, tmp_path / "shards")
    assert "the labelled test serving as val" in result.output
    manifest = Dataset(tmp_path / "shards").manifest
    assert manifest.splits["train"].samples >= 100 and manifest.splits["val"].samples >= 50
    assert manifest.classes == tuple("0123456789") and manifest.image_components == ("png",)


def test_a_row_cut_short_is_rejected_by_name(shared_data: Unpack, tmp_path: Path) -> None:
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
    rows = [f"{n % 2},{good}" for n in range(40)]
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


def test_workers_do_not_change_the_bytes(tmp_path: Path) -> None:
    source = photographs(tmp_path / "src", count=60)
    arguments = ["--encode", "jpeg", "--shard-size", "0.05", "--longest-side", "64"]
    made(source, tmp_path / "one", "--workers", "1", *arguments)
    made(source, tmp_path / "two", "--workers", "2", *arguments)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    made(source, tmp_path / "seed", "--seed", "1", *arguments)
    assert contents(tmp_path / "one") != contents(tmp_path / "seed")


def test_what_is_said_and_recorded(tmp_path: Path) -> None:
    source = photographs(tmp_path / "src", count=40)
    result = shard(source, tmp_path / "shards", "--val", "0.25", "--quality", "90")
    assert "class folders in ./" in result.output
    assert (
        "40 labelled images of 2 classes ('cat', 'dog') become 30 train and 10 val" in result.output
    )
    assert "Re-encoded 40 images as JPEG" in result.output and "PSNR" in result.output
    assert f"tools/show {tmp_path / 'shards'}" in result.output
    record = json.loads((tmp_path / "shards" / "dataset.json").read_text())["made_by"]
    assert record["tool"].startswith("shardline ")
    assert record["arguments"]["quality"] == 90 and "workers" not in record["arguments"]
    assert not {"src", "out"} & set(record["arguments"])


def test_unsound_images_are_counted_and_too_many_stop(tmp_path: Path) -> None:
    source = photographs(tmp_path / "src", ".jpg", count=40)
    for name in ("cat/1.jpg", "dog/3.jpg"):
        path = source / name
        path.write_bytes(path.read_bytes()[:-200])
    out = tmp_path / "shards"
    result = shard(source, out)
    assert result.exit_code == 1
    assert "more than --max-rejected 0.01" in result.output and "cut off" in result.output
    assert (out / "rejected.csv").exists() and not (out / "dataset.json").exists()
    result = shard(source, out, "--max-rejected", "0.05")
    assert result.exit_code == 0 and "Rejected 2 sources" in result.output
    assert Dataset(out).manifest.rejected == 2
    assert {line.split(",")[0] for line in (out / "rejected.csv").read_text().splitlines()[1:]} == {
        "cat/1.jpg",
        "dog/3.jpg",
    }


def test_nothing_left_is_an_error(tmp_path: Path) -> None:
    source = photographs(tmp_path / "src", ".jpg", count=4)
    for path in source.rglob("*.jpg"):
        path.write_bytes(b"<html>404</html>")
    result = shard(source, tmp_path / "shards", "--max-rejected", "1")
    assert result.exit_code == 1 and "no sample is left to train on" in result.output
    assert (tmp_path / "shards" / "rejected.csv").exists()
    assert not (tmp_path / "shards" / "dataset.json").exists()


def test_a_class_of_one_goes_to_train(tmp_path: Path) -> None:
    source = photographs(tmp_path / "src", count=20)
    (source / "unicorn").mkdir()
    shutil.copy(source / "dog" / "0.png", source / "unicorn" / "0.png")
    result = shard(source, tmp_path / "shards", "--val", "0.5")
    assert "1 class with a single image: train has it" in result.output
    splits = Dataset(tmp_path / "shards").manifest.splits
    assert splits["train"].class_counts[2] == 1 and splits["val"].class_counts[2] == 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--src", "nowhere"], 2, "--src nowhere is not a folder"),
        (["--val", "1.5"], 2, "--val is 1.5"),
        (["--quality", "0"], 2, "--quality is 0"),
        (["--workers", "0"], 2, "--workers is 0"),
        (["--shard-size", "0"], 2, "--shard-size is 0"),
        (["--label-column", "breed"], 2, "no CSV has a column 'breed'"),
        (["--labels", "missing.csv"], 2, "missing.csv"),
        (["--encode", "gif"], 2, "gif"),
        (["--image-column", "id", "--label-column", "id"], 2, "no CSV has a column 'id'"),
    ],
)
def test_misuse(tmp_path: Path, arguments: list[str], code: int, words: str) -> None:
    source = photographs(tmp_path / "src", count=2)
    result = shard(source, tmp_path / "shards", *arguments)
    assert (result.exit_code, words in result.output) == (code, True), result.output
    assert not (tmp_path / "shards").exists()


@pytest.mark.parametrize("arguments", [[], ["--src", "."], ["--out", "shards"]])
def test_source_and_output_are_asked_for(arguments: list[str]) -> None:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2 and "Missing option '--" in result.output


def test_one_column_is_not_both(tmp_path: Path) -> None:
    source = photographs(tmp_path / "src", count=6)
    rows = [f"{path.stem},{path.parent.name}" for path in source.rglob("*.png")]
    (source / "labels.csv").write_text("\n".join(["id,animal", *rows]))
    result = shard(source, tmp_path / "shards", "--image-column", "id", "--label-column", "id")
    assert result.exit_code == 2 and "it can't be --label-column too" in result.output


def test_an_empty_folder_and_a_full_one(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = shard(tmp_path / "empty", tmp_path / "shards")
    assert result.exit_code == 1 and "holds no images and no CSV" in result.output
    source = photographs(tmp_path / "src", count=12)
    before = contents(made(source, tmp_path / "shards").directory)
    result = shard(source, tmp_path / "shards")
    assert result.exit_code == 2 and "already holds a dataset" in result.output
    assert contents(tmp_path / "shards") == before


def test_shards_inside_the_download_are_no_input(tmp_path: Path) -> None:
    source = photographs(tmp_path, count=12)
    made(source, source / "shards")
    shutil.rmtree(source / "shards")
    assert made(source, source / "shards").manifest.splits["train"].samples == 11


def test_the_executable_works_from_anywhere(tmp_path: Path) -> None:
    photographs(tmp_path / "kaggle", count=12)
    environment = {**os.environ, "VIRTUAL_ENV": sys.prefix}
    command = [ROOT / "tools" / "shard", "--src", "kaggle/", "--out", "shards/"]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)
    assert Dataset(tmp_path / "shards").manifest.splits["train"].samples == 11


def test_a_full_disk_ends_with_a_sentence(tmp_path: Path) -> None:
    source = photographs(tmp_path / "src", count=40)
    out = tmp_path / "shards"
    command = [sys.executable, "-m", "tools.cli", "--src", source, "--out", out]
    ended = subprocess.run(
        ["sh", "-c", 'ulimit -f 20; exec "$@"', "sh", *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 1 and "no dataset was written" in ended.stderr, ended.stderr
    assert "Traceback" not in ended.stderr and not out.exists()


def test_an_interrupt_ends_with_a_sentence(tmp_path: Path) -> None:
    source = photographs(tmp_path / "src", count=8, side=1500)
    # Enough work for many seconds, so that the signal comes in the middle of it.
    for path in list(source.rglob("*.png")):
        for number in range(50):
            path.with_stem(f"{path.stem}_{number}").hardlink_to(path)
    out = tmp_path / "shards"
    command = [sys.executable, "-m", "tools.cli", "--src", source, "--out", out, "--workers", "1"]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        # A shell's background job begins with SIGINT ignored, and so would everything below it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    while not list(out.glob(".unfinished/scratch/*/*.tar")):
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate()
    assert process.returncode == 130 and "Interrupted: no dataset was written" in said
    assert not out.exists()


def test_names_that_are_no_utf8_are_escaped(tmp_path: Path) -> None:
    source = photographs(tmp_path / "src", count=12)
    odd = os.fsencode(source / "cat") + b"/caf\xe9.png"
    os.link(source / "cat" / "1.png", odd)
    made(source, tmp_path / "shards", "--val", "0")
    names = parquet.read_table(tmp_path / "shards" / "train.sources.parquet").column("source")
    assert r"cat/caf\xe9.png" in names.to_pylist()
