"""tools/check finds every flipped byte, and says whose it is."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from pipeline.storage.dataset import Dataset
from pipeline.storage.manifest import sample_key
from tests.helpers.amounts import all_or_tenth, full_or_tenth
from tests.helpers.checking import TASKS, findings, flip
from tests.helpers.handmade import write_shards
from tools.checking.source_names import SourceNames
from tools.checking.tables import Tables
from tools.checking.tar_layout import TarLayout
from tools.checking.tars import TarTask, check_tar

FLIPS = full_or_tenth(480)


@pytest.fixture
def digits(digits_shards: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(digits_shards, tmp_path / "shards"))


def test_every_flipped_byte_is_found(digits: Path) -> None:
    """A flip in an image also names its sample."""
    assert flips_found(digits, FLIPS) > FLIPS / 40


@pytest.mark.parametrize("task", TASKS)
def test_every_flipped_byte_is_found_for_every_task(task: str, tmp_path: Path) -> None:
    shards = write_shards(tmp_path / "shards", task, **TASKS[task], samples=60, shards=3)  # type: ignore[arg-type]
    assert flips_found(shards, FLIPS // 4) > FLIPS / 12


@pytest.mark.parametrize("task", TASKS)
def test_every_flipped_byte_is_found_where_labels_are_missing(task: str, tmp_path: Path) -> None:
    shards = write_shards(
        tmp_path / "shards",
        task,
        **TASKS[task],  # type: ignore[arg-type]
        samples=60,
        shards=3,
        split="test",
        unlabeled=range(0, 60, 2),
    )
    assert flips_found(shards, FLIPS // 4, "test") > FLIPS / 12


def flips_found(shards: Path, count: int, split: str = "train") -> int:
    """Flip bits of the split's tars one at a time; returns how many were in images."""
    draw = np.random.default_rng(4)
    index = Dataset(shards).split(split)
    in_images = 0
    for number in draw.integers(0, len(index.split.shards), count).tolist():
        task = tar_task(shards, number, split)
        path = shards / task.shard.name
        whole = path.read_bytes()
        at = int(draw.integers(len(whole)))
        flip(path, at, int(draw.integers(8)))
        result = check_tar(task)
        path.write_bytes(whole)
        assert len(result.findings) == 1, (at, result.findings)
        (finding,) = result.findings
        rows = index.samples[index.samples["shard"] == number]
        inside = rows[(rows["offset"] <= at) & (at < rows["offset"] + rows["size"])]
        if len(inside):
            assert finding.key == inside["key"][0] and "crc32" in finding.text
            in_images += 1
        else:
            assert finding.key is not None or "end of a tar" in finding.text
    return in_images


def tar_task(shards: Path, number: int, split: str) -> TarTask:
    """What the command hands to a worker: the shard `number` of the split."""
    dataset = Dataset(shards)
    manifest, index = dataset.manifest, dataset.split(split)
    mine = index.samples["shard"] == number
    shard = index.split.shards[number]
    layout = TarLayout(
        rows=Tables(
            samples=index.samples[mine],
            targets=index.targets[mine] if (shards / f"{split}.targets.npy").exists() else None,
            masks=index.masks[mine] if (shards / f"{split}.masks.npy").exists() else None,
        ),
        target={"classification": "cls", "segmentation": "mask.png"}.get(
            manifest.task, "target.npy"
        ),
        image_components=manifest.image_components,
        digits=manifest.label_digits,
    )
    return TarTask(
        directory=shards,
        split=split,
        shard=shard,
        index=f"{split}.samples.npy",
        first=int(np.argmax(mine)),
        layout=layout,
        index_sha256=manifest.files[Path(shard.name).with_suffix(".idx").name],
    )


@pytest.mark.parametrize("seed", all_or_tenth(range(80)))
def test_a_flip_anywhere_ends_with_code_1(seed: int, digits: Path) -> None:
    draw = np.random.default_rng(seed)
    files = sorted(path for path in digits.iterdir() if path.name != "dataset.json")
    path = files[seed % len(files)]
    flip(path, int(draw.integers(path.stat().st_size)), int(draw.integers(8)))
    lines = findings(digits)
    assert lines and all(line.startswith(path.name) for line in lines)


def test_the_sample_and_its_source_are_named(digits: Path) -> None:
    row = np.load(digits / "train.samples.npy")[77]
    flip(digits / "train-000000.tar", int(row["offset"]) + 20)
    key, source = sample_key(int(row["key"])), source_of(digits, 77)
    (line,) = findings(digits)
    start = f"train-000000.tar: sample {key} (from {source}): the crc32 of {key}.png is"
    assert line.startswith(start)


def source_of(shards: Path, row: int) -> str:
    names = SourceNames(shards, Dataset(shards).manifest)
    names.open("train")
    source = names.find("train", row)
    assert source is not None and source.startswith("train/")
    return source
