"""The whole command: invalid input, failures and interrupts, the same bytes every time."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as parquet
import pytest

from pipeline.storage.dataset import Dataset
from tests.helpers.full_disk import run_on_full_disk
from tests.helpers.shard_runs import contents, made, photographs, shard

ROOT = Path(__file__).parents[2]


def test_workers_do_not_change_the_bytes(tmp_path: Path) -> None:
    source = photographs(tmp_path / "src", count=60)
    arguments = ["--encode", "jpeg", "--shard-size", "0.05", "--longest-side", "64"]
    made(source, tmp_path / "one", "--workers", "1", *arguments)
    made(source, tmp_path / "two", "--workers", "2", *arguments)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    made(source, tmp_path / "seed", "--seed", "1", *arguments)
    assert contents(tmp_path / "one") != contents(tmp_path / "seed")


def test_the_output_and_the_recorded_arguments(tmp_path: Path) -> None:
    source = photographs(tmp_path / "src", count=40)
    result = shard(source, tmp_path / "shards", "--val", "0.25", "--quality", "90")
    assert "class folders in ./" in result.output
    assert (
        "40 labeled images of 2 classes ('cat', 'dog'): 30 train and 10 val (random split, "
        "stratified by class), shuffled with seed 0." in result.output
    )
    assert "Re-encoded 40 images as JPEG" in result.output and "PSNR" in result.output
    assert f"tools/show {tmp_path / 'shards'}" in result.output
    record = json.loads((tmp_path / "shards" / "dataset.json").read_text())["made_by"]
    assert record["tool"].startswith("shardline ")
    assert record["arguments"]["quality"] == 90 and "workers" not in record["arguments"]
    assert not {"src", "out"} & set(record["arguments"])


def test_damaged_images_are_counted_and_too_many_stop_the_run(tmp_path: Path) -> None:
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


def test_a_download_without_valid_images_is_an_error(tmp_path: Path) -> None:
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
    assert "1 class with a single image: it is in train" in result.output
    splits = Dataset(tmp_path / "shards").manifest.splits
    assert splits["train"].class_counts[2] == 1 and splits["val"].class_counts[2] == 0


@pytest.mark.parametrize(
    ("arguments", "counts", "words"),
    [
        ([], {"train": 27, "val": 3, "test": 12}, "27 train, 3 val (drawn from train, stratified"),
        (["--val", "0"], {"train": 30, "test": 12}, "30 train and 12 test (no validation split)"),
        (["--test", "as-val"], {"train": 30, "val": 12}, "12 val (the download's labeled test)"),
    ],
)
def test_a_labeled_test_split(
    arguments: list[str], counts: dict[str, int], words: str, tmp_path: Path
) -> None:
    photographs(tmp_path / "src" / "train", count=30)
    photographs(tmp_path / "src" / "test", count=12)
    result = shard(tmp_path / "src", tmp_path / "shards", *arguments)
    assert words in result.output, result.output
    manifest = Dataset(tmp_path / "shards").manifest
    assert {name: split.samples for name, split in manifest.splits.items()} == counts


def test_one_column_can_not_be_image_and_label(tmp_path: Path) -> None:
    source = photographs(tmp_path / "src", count=6)
    rows = [f"{path.stem},{path.parent.name}" for path in source.rglob("*.png")]
    (source / "labels.csv").write_text("\n".join(["id,animal", *rows]))
    result = shard(source, tmp_path / "shards", "--image-column", "id", "--label-column", "id")
    assert result.exit_code == 2 and "can't be both --image-column" in result.output


def test_an_output_with_a_dataset_is_left_as_it_is(tmp_path: Path) -> None:
    source = photographs(tmp_path / "src", count=12)
    before = contents(made(source, tmp_path / "shards").directory)
    result = shard(source, tmp_path / "shards")
    assert result.exit_code == 2 and "already holds a dataset" in result.output
    assert contents(tmp_path / "shards") == before


def test_shards_inside_the_download_are_ignored(tmp_path: Path) -> None:
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


def test_a_full_disk_gives_a_message(tmp_path: Path) -> None:
    source = photographs(tmp_path / "src", count=40)
    out = tmp_path / "shards"
    command = [sys.executable, "-m", "tools.cli", "--src", source, "--out", out]
    ended = run_on_full_disk(command)
    assert ended.returncode == 1
    assert ended.stderr == (
        f"Error: {out}: File too large. Free space on that disk. No dataset was written to {out}. "
        f"The same command resumes from the finished shards.\n"
    )
    assert "Traceback" not in ended.stderr and not out.exists()


def test_an_interrupt_gives_a_message(tmp_path: Path) -> None:
    source = photographs(tmp_path / "src", count=8, side=1500)
    # Enough work for many seconds, so that the signal comes before its end.
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
        # A background job of a shell starts with SIGINT ignored, and its children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    while not list(out.glob(".unfinished/scratch/*/*.tar")):
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate()
    assert process.returncode == 130 and "Interrupted. No dataset was written" in output
    assert not out.exists()


def test_names_that_are_not_utf8_are_escaped(tmp_path: Path) -> None:
    source = photographs(tmp_path / "src", count=12)
    odd = os.fsencode(source / "cat") + b"/caf\xe9.png"
    os.link(source / "cat" / "1.png", odd)
    made(source, tmp_path / "shards", "--val", "0")
    names = parquet.read_table(tmp_path / "shards" / "train.sources.parquet").column("source")
    assert r"cat/caf\xe9.png" in names.to_pylist()


def test_names_that_the_output_cannot_encode_are_escaped(tmp_path: Path) -> None:
    source, out = photographs(tmp_path / "src", count=12), tmp_path / "shards"
    (source / "cat").rename(source / "caf\xe9\u732b")
    (source / "dog").rename(source / "\x1b[31m\u202e")
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    for module, *words in (
        ("tools.cli", "--src", source, "--out", out, "--val", "0.5", "--workers", "1"),
        ("tools.showing.cli", out, "--out", tmp_path / "picture.png"),
    ):
        result = subprocess.run(
            [sys.executable, "-m", module, *map(str, words)],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            check=False,
        )
        assert (result.returncode, result.stderr) == (0, b"")
        assert rb"caf\xe9\u732b" in result.stdout and rb"\x1b[31m\u202e" in result.stdout
        assert result.stdout.isascii() and b"\x1b" not in result.stdout
