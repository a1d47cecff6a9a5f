"""A resumed run compares files whose times have changed by what is read from them."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.storage.folder_kinds import UNFINISHED
from tests.helpers.shard_runs import contents, photographs, shard
from tools.download import file_index
from tools.writing.engines import write_locally
from tools.writing.shard_plan import PlannedShard, ShardPlan


def unfinished_run(src: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write all shards, and no tables."""

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("tools.writing.shard_run.publish", killed)
        assert shard(src, out).exit_code == 130
    assert any((out / UNFINISHED).glob("*.tar.json"))


def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the shards that are written from now on."""
    names, write = list[str](), write_locally

    def noted(plan: ShardPlan, shards: Sequence[PlannedShard], *arguments: Any) -> Any:
        names.extend(planned.name for planned in shards)
        return write(plan, shards, *arguments)

    monkeypatch.setattr("tools.writing.shard_run.write_locally", noted)
    return names


@pytest.mark.parametrize("change", ["touch", "edit", "edit, --trust-size", "table"])
def test_a_touched_file_is_compared_by_its_contents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    src, out = photographs(tmp_path / "src", ".bmp"), tmp_path / "out"
    (src / "notes.csv").write_text("a,b\n1,2\n")
    unfinished_run(src, out, monkeypatch)
    names = written(monkeypatch)
    image, arguments = src / "cat" / "1.bmp", ["--trust-size"] * ("trust" in change)
    if change.startswith("edit"):
        image.write_bytes(image.read_bytes()[:-9] + b"different")
    os.utime(src / "notes.csv" if change == "table" else image, (1, 1))
    again = shard(src, out, *arguments)
    assert again.exit_code == 0, again.output
    assert len(names) == (change == "edit")
    whole = tmp_path / "whole"
    shard(src, whole)
    same = all(
        (out / name).read_bytes() == data
        for name, data in contents(whole).items()
        if name != "dataset.json"
    )
    assert same is ("trust" not in change)


def pixel_table(src: Path, pixels: NDArray[np.uint8], labels: Sequence[int]) -> Path:
    """A CSV of images; `pixels`: (n, values)."""
    header = ",".join(["label", *(f"pixel{n}" for n in range(pixels.shape[1]))])
    # Three digits each, so that other values take the same bytes.
    rows = (
        ",".join([str(label), *(f"{value:03d}" for value in image)])
        for label, image in zip(labels, pixels.tolist(), strict=True)
    )
    (src / "train.csv").write_text("\n".join((header, *rows, "")))
    return src / "train.csv"


def arrays(src: Path, pixels: NDArray[np.uint8], labels: Sequence[int]) -> Path:
    """An .npz of images; `pixels`: (n, values)."""
    np.savez(src / "a.npz", images=pixels.reshape(len(pixels), 4, 4, 3), labels=np.array(labels))
    return src / "a.npz"


@pytest.mark.parametrize("write", [pixel_table, arrays])
@pytest.mark.parametrize("change", ["touch", "pixels", "pixels, --trust-size", "labels"])
def test_touched_pixels_are_compared_by_their_values(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    write: Callable[[Path, NDArray[np.uint8], Sequence[int]], Path],
    change: str,
) -> None:
    # Large tables are not hashed as a whole.
    monkeypatch.setattr(file_index, "_HASHED_TABLE_BYTES", 0)
    src, out = tmp_path / "src", tmp_path / "out"
    src.mkdir()
    pixels = np.random.default_rng(1).integers(100, 200, (40, 48), np.uint8)
    labels = [n % 2 for n in range(40)]
    write(src, pixels, labels)
    unfinished_run(src, out, monkeypatch)
    names = written(monkeypatch)
    pixels[7] += change.startswith("pixels")
    os.utime(write(src, pixels, [*labels[::-1]] if change == "labels" else labels), (1, 1))
    again = shard(src, out, *["--trust-size"] * ("trust" in change))
    if change == "labels":
        assert again.exit_code == 2 and "the download has changed since" in again.output
        return
    assert again.exit_code == 0, again.output
    assert len(names) == (change == "pixels")
    shard(src, tmp_path / "whole")
    tars = [name for name in contents(out) if name.endswith(".tar")]
    same = all(contents(out)[name] == contents(tmp_path / "whole")[name] for name in tars)
    assert tars and same is ("trust" not in change)


def test_a_touched_large_table_of_labels_is_compared_by_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_index, "_HASHED_TABLE_BYTES", 0)
    src, out = photographs(tmp_path / "src" / "images"), tmp_path / "out"
    names = [path.relative_to(src).as_posix() for path in sorted(src.rglob("*.png"))]
    table = tmp_path / "src" / "train.csv"
    table.write_text("".join(["file,label\n", *(f"{name},{name[:3]}\n" for name in names)]))
    unfinished_run(tmp_path / "src", out, monkeypatch)
    again = written(monkeypatch)
    os.utime(table, (1, 1))
    result = shard(tmp_path / "src", out)
    assert result.exit_code == 0 and not again, result.output
