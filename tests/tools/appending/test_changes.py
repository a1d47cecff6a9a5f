"""What an append does with changed and rejected sources and with new classes."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import pytest

from pipeline.errors import MisuseError
from pipeline.storage.dataset import Dataset
from pipeline.storage.manifest import REJECTED_NAME
from tests.helpers.growing import append, assert_prefix, grow, intact, origins, refused
from tests.helpers.shard_runs import made
from tests.helpers.small_downloads import lines, picture, pictures
from tools.appending.classes import with_stored_classes
from tools.config import ShardConfig
from tools.download.image_files import ENTRY_DTYPE, Entries, ImageFiles
from tools.download.label_sets import as_table
from tools.download.sources import Sources
from tools.download.storage import Storage

pytestmark = pytest.mark.usefixtures("inline_workers")


def test_a_new_class_goes_behind_the_others(first: Path, grown: Path) -> None:
    """It sorts before them."""
    (grown / "src" / "ant").mkdir()
    for number in range(3):
        path = grown / "src" / "ant" / f"{number}.png"
        path.write_bytes(picture(path.name, 900 + number))
    assert "1 class that" in (output := refused(grown)) and "'ant'" in output
    assert "--new-classes add" in output
    append(grown, "--new-classes", "add")
    assert_prefix(first / "out", grown / "out")
    manifest = Dataset(grown / "out").manifest
    assert manifest.classes == ("cat", "dog", "ant") and manifest.history[0].classes == 2
    counts = [manifest.splits[split].class_counts for split in ("train", "val")]
    assert np.sum(counts, axis=0).tolist() == [12, 12, 3]
    assert intact(grown / "out")


@pytest.mark.parametrize(
    ("task", "classes", "text"),
    [
        ("classification", 9_999, ""),
        ("classification", 10_000, "With 10,001 classes every target would be wider"),
        ("multi-label", 3, "every target would be wider"),
        ("multi-label", 4, ""),
    ],
)
def test_wider_targets_are_refused(task: str, classes: int, text: str, first: Path) -> None:
    """10,000 classes have labels of four digits, 10,001 of five; a class is a column of the targets
    of multi-label."""
    names = tuple(f"c{number:05d}" for number in range(classes))
    manifest = replace(Dataset(first / "out").manifest, task=task, classes=names, labels=names)
    labels = np.array([0, 1, 2, -1], np.int32)
    sources = Sources(
        images=ImageFiles(Storage("."), (), Entries(np.empty(0, ENTRY_DTYPE), ())),
        names=["1", "2", "3", "4"],
        task=task,
        labels=labels,
        classes=("c00002", "zebra" if classes != 4 else "c00003", "c00000"),
        targets=None if task == "classification" else np.eye(4, 3, dtype=np.float32),
        splits=None,
        rejected=(),
    )
    config = ShardConfig(src="src", out="out", append=True, new_classes="add")
    if text:
        with pytest.raises(MisuseError, match=text):
            with_stored_classes(sources, manifest, config)
        return
    renumbered = with_stored_classes(sources, manifest, config)
    if task == "classification":
        assert renumbered.labels.tolist() == [2, 9_999, 0, -1]
        assert renumbered.classes == (*names, "zebra")
    else:
        expected = [[0, 0, 1, 0], [0, 0, 0, 1], [1, 0, 0, 0], [0, 0, 0, 0]]
        assert renumbered.targets is not None
        assert as_table(renumbered.targets).tolist() == expected


def test_changed_sources_are_named(first: Path, grown: Path) -> None:
    changed = grown / "src" / "cat" / "4.png"
    changed.write_bytes(picture("4.png", 777))
    grow(grown / "src", [50])
    assert "cat/4.png" in (output := refused(grown)) and "--changed store-again" in output
    split = "val" if ("cat/4.png", "cat") in origins(first / "out", "val") else "train"
    assert "Left out 1 source that changed" in append(grown, "--changed", "skip")
    assert [name for name, _ in origins(grown / "out", split)].count("cat/4.png") == 1
    assert "Stores again 1 source" in append(grown, "--changed", "store-again")
    names = [name for name, _ in origins(grown / "out", split)]
    assert names.count("cat/4.png") == 2 and names[-1] == "cat/4.png"
    assert "Nothing to add" in append(grown)
    assert len(Dataset(grown / "out").manifest.history) == 2 and intact(grown / "out")


def test_a_changed_label_is_a_change(tmp_path: Path) -> None:
    src = tmp_path / "src"
    src.mkdir()
    for name, data in pictures(*(f"{n}.png" for n in range(6))).items():
        (src / name).write_bytes(data)  # type: ignore[arg-type]
    rows = [f"{n},{'ab'[n % 2]}" for n in range(6)]
    (src / "train.csv").write_text(lines("id,label", *rows))
    made(src, tmp_path / "out", "--workers", "1")
    (src / "train.csv").write_text(lines("id,label", "0,b", *rows[1:]))
    output = refused(tmp_path)
    assert "1 source of" in output and "(0.png)" in output


def test_rejected_sources_are_not_tried_again(grown: Path) -> None:
    bad = grown / "src" / "cat" / "100.png"
    bad.write_bytes(picture("100.png", 5)[:60])
    grow(grown / "src", [30, 31])
    append(grown, "--max-rejected", "1")
    dataset = Dataset(grown / "out")
    assert dataset.manifest.rejected == 1
    assert "cat/100.png" in dataset.file(REJECTED_NAME).read_text()
    grow(grown / "src", [32])
    assert "Left out 1 source that rejected.csv lists" in append(grown)
    assert Dataset(grown / "out").manifest.rejected == 1
    bad.write_bytes(picture("100.png", 5))
    append(grown, "--changed", "store-again")
    assert Dataset(grown / "out").manifest.rejected == 0 and intact(grown / "out")


def test_shards_without_checksums(grown: Path) -> None:
    """As an earlier version wrote them."""
    out = grown / "out"
    text = (out / "dataset.json").read_text()
    for path in out.glob("*.sources.parquet"):
        old = hashlib.sha256(path.read_bytes()).hexdigest()
        parquet.write_table(parquet.read_table(path).drop_columns(["crc32"]), path)
        text = text.replace(old, hashlib.sha256(path.read_bytes()).hexdigest())
    fields = json.loads(text)
    del fields["sha256"]
    (out / "dataset.json").write_text(json.dumps(fields, indent=1) + "\n")
    grow(grown / "src", [24])
    assert "made before sources had checksums" in refused(grown)
    append(grown, "--changed", "skip")
    assert "Nothing to add" in append(grown, "--changed", "skip") and intact(out)
