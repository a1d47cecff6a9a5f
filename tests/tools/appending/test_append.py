"""``tools/shard --append``: what stands stays, and what is new follows."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as parquet
import pytest

from pipeline.storage.dataset import Dataset
from pipeline.storage.manifest import sources_name
from tests.helpers.cli import invoke
from tests.helpers.growing import CLASSES, append, assert_prefix, grow, intact, origins, refused
from tests.helpers.shard_runs import contents, made
from tests.helpers.small_downloads import lines, picture
from tools.cli import main as command
from tools.showing.dataset_summary import DatasetSummary
from tools.showing.show import describe

pytestmark = pytest.mark.usefixtures("inline_workers")


def test_new_files_follow_those_that_stand(first: Path, grown: Path) -> None:
    grow(grown / "src", range(24, 44))
    output = append(grown)
    assert "Left out 24 sources that" in output and "Added 18 train, 2 val;" in output
    assert_prefix(first / "out", grown / "out")
    assert intact(grown / "out")
    both = [*origins(grown / "out", "train"), *origins(grown / "out", "val")]
    assert sorted(both) == sorted((f"{CLASSES[n % 2]}/{n}.png", CLASSES[n % 2]) for n in range(44))
    manifest = Dataset(grown / "out").manifest
    (addition,) = manifest.history
    assert addition.src == str(grown / "src") and addition.samples == {"train": 18, "val": 2}
    assert addition.shards == {"train": 1, "val": 1} and addition.classes == 2
    names = {path.name for path in (grown / "out").glob("*.npy")}
    assert names == {"train.samples-1.npy", "val.samples-1.npy"}
    shown = describe(DatasetSummary.from_dataset(Dataset(grown / "out")), all_classes=False)
    assert any("Append 1 added 18 train, 2 val from" in str(part) for part in shown)
    before = contents(grown / "out")
    assert "Left out 44 sources" in (output := append(grown)) and "Nothing to add" in output
    assert contents(grown / "out") == before


def test_another_download_that_names_classes_by_their_labels(tmp_path: Path) -> None:
    """In the first download 3 is the tench; the second has the classes in another order."""
    for part, rows in (("a", (("x0", 3), ("x1", 7))), ("b", (("y0", 7), ("y1", 3)))):
        folder = tmp_path / part
        folder.mkdir()
        for name, _ in rows:
            for copy in "pqr":
                (folder / f"{name}{copy}.png").write_bytes(
                    picture("a.png", hash_of(part, name, copy))
                )
        table = [f"{name}{copy},{label}" for name, label in rows for copy in "pqr"]
        (folder / "train.csv").write_text(lines("id,label", *table))
        (folder / "names.csv").write_text(lines("label,name", "3,tench", "7,crane"))
    words = ("--class-names", "names.csv", "--val", "0", "--workers", "1")
    made(tmp_path / "a", tmp_path / "out", *words)
    made(tmp_path / "b", tmp_path / "out", "--append", *words[:2], "--workers", "1")
    assert Dataset(tmp_path / "out").manifest.classes == ("tench", "crane")
    stored = dict(origins(tmp_path / "out", "train"))
    assert stored == {
        **{f"x0{copy}.png": "tench" for copy in "pqr"},
        **{f"x1{copy}.png": "crane" for copy in "pqr"},
        **{f"y0{copy}.png": "crane" for copy in "pqr"},
        **{f"y1{copy}.png": "tench" for copy in "pqr"},
    }


def hash_of(*words: str) -> int:
    return int.from_bytes("".join(words).encode(), "big")


def test_a_group_stays_in_its_split(tmp_path: Path) -> None:
    src = tmp_path / "src"
    src.mkdir()

    def add(numbers: range, patient: str) -> None:
        with (src / "train.csv").open("a") as file:
            for number in numbers:
                (src / f"{number}.png").write_bytes(picture("a.png", number))
                file.write(f"{number},{'ab'[number % 2]},{patient.format(number // 4)}\n")

    (src / "train.csv").write_text("id,label,patient\n")
    add(range(80), "p{}")
    words = ("--group-column", "patient", "--workers", "1")
    made(src, tmp_path / "out", "--val", "0.3", *words)

    def groups(split: str) -> set[str]:
        table = parquet.read_table(Dataset(tmp_path / "out").file(sources_name(split)))
        return set(table.column("group").to_pylist())

    val = groups("val")
    for number, name in enumerate(sorted(val | groups("train"))):
        add(range(100 + 4 * number, 104 + 4 * number), name)
    # Without the option the draw would divide them.
    assert "has groups, but none are read from" in refused(tmp_path)
    made(src, tmp_path / "out", "--append", *words)
    assert groups("val") == val and not val & groups("train")
    manifest = Dataset(tmp_path / "out").manifest
    assert manifest.splits["val"].samples == 8 * len(val)


@pytest.mark.parametrize(("split", "words"), [("val", ()), ("test", ("--test", "as-val"))])
def test_the_splits_of_the_download_are_used(
    split: str, words: tuple[str, ...], tmp_path: Path
) -> None:
    """A download whose val is not drawn gets no drawn one when its train grows."""
    for part, numbers in (("train", range(12)), (split, range(12, 18))):
        grow(tmp_path / "src" / part, numbers)
    made(tmp_path / "src", tmp_path / "out", "--workers", "1", *words)
    grow(tmp_path / "src" / "train", range(20, 60))
    append(tmp_path)
    grow(tmp_path / "src" / split, [70])
    grow(tmp_path / "src" / "train", [71, 73])
    # Those that stand have it.
    assert "No new training sample has 1 class: cat." in append(tmp_path)
    splits = Dataset(tmp_path / "out").manifest.splits
    assert (splits["train"].samples, splits["val"].samples) == (54, 7)


@pytest.mark.parametrize("task", ["multi-label", "regression", "segmentation"])
def test_other_tasks(task: str, tmp_path: Path) -> None:
    src = tmp_path / "src"
    (src / "masks").mkdir(parents=True)
    (src / "images").mkdir()
    cells = {
        "multi-label": [f"{'a b' if n % 2 else 'b'}" for n in range(20)],
        "regression": [str(n / 4) for n in range(20)],
    }
    words = {
        "multi-label": ("--task", "multi-label", "--label-separator", " "),
        "regression": ("--task", "regression"),
        "segmentation": ("--task", "segmentation"),
    }[task]

    def write(count: int) -> None:
        for number in range(count):
            (src / "images" / f"{number}.png").write_bytes(picture("a.png", number))
            if task == "segmentation":
                (src / "masks" / f"{number}.png").write_bytes(mask(number))
        if task != "segmentation":
            rows = [f"{n},{cells[task][n]}" for n in range(count)]
            (src / "train.csv").write_text(lines("id,label", *rows))

    write(12)
    made(src, tmp_path / "out", *words, "--workers", "1")
    shutil.copytree(tmp_path / "out", tmp_path / "before")
    write(20)
    append(tmp_path, *words)
    assert intact(tmp_path / "out")
    old, new = Dataset(tmp_path / "before"), Dataset(tmp_path / "out")
    assert sum(split.samples for split in new.manifest.splits.values()) == 20
    for name in old.manifest.splits:
        before, after = old.split(name), new.split(name)
        table = "masks" if task == "segmentation" else "targets"
        assert np.array_equal(getattr(after, table)[: len(before)], getattr(before, table))
    if task == "regression":
        names = parquet.read_table(new.file(sources_name("train"))).column("source").to_pylist()
        values = [int(Path(name).stem) / 4 for name in names]
        assert new.split("train").targets[:, 0].tolist() == values


def mask(number: int) -> bytes:
    pixels = np.zeros((9, 8), np.uint8)
    pixels[: 1 + number % 7] = 255
    return bytes(cv2.imencode(".png", pixels)[1])


def test_the_sample_submission_stays(tmp_path: Path) -> None:
    grow(tmp_path / "src" / "train", range(12))
    (tmp_path / "src" / "test").mkdir()

    def tests(count: int) -> None:
        for number in range(count):
            (tmp_path / "src" / "test" / f"t{number}.png").write_bytes(
                picture("a.png", 500 + number)
            )
        rows = [f"t{number},cat" for number in range(count)]
        (tmp_path / "src" / "sample_submission.csv").write_text(lines("id,label", *rows))

    tests(4)
    made(tmp_path / "src", tmp_path / "out", "--workers", "1")
    before = (tmp_path / "out" / "test.submission.parquet").read_bytes()
    tests(6)
    assert "keeps the sample submission" in append(tmp_path)
    assert (tmp_path / "out" / "test.submission-1.parquet").read_bytes() == before
    assert Dataset(tmp_path / "out").manifest.splits["test"].samples == 6
    assert intact(tmp_path / "out")


def test_a_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    src, url = grow(tmp_path / "src", range(12)), "memory://append/out"
    words = ("--src", src, "--out", url, "--workers", "1")
    assert invoke(command, *words).exit_code == 0
    old = Dataset(url)
    grow(src, range(12, 20))
    assert invoke(command, *words, "--append").exit_code == 0
    new = Dataset(url)
    assert new.manifest.history[0].after == old.fingerprint
    assert sum(split.samples for split in new.manifest.splits.values()) == 20
    for split in new.manifest.splits:
        assert len(new.split(split)) == new.manifest.splits[split].samples
    (src / "cat" / "bad.png").write_bytes(picture("bad.png", 5)[:60])
    result = invoke(command, *words, "--append")
    assert result.exit_code == 1 and "Nothing was added" in result.output
    assert Dataset(url).fingerprint == new.fingerprint
