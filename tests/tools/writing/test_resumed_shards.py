"""A resumed run holds finished shards against their records, and writes again what doesn't fit."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import MisuseError
from tests.helpers.checking import flip
from tests.helpers.squares import Squares
from tests.tools.writing.test_shards import write_squares
from tools.writing import shard_run
from tools.writing.engines import write_locally

TAR = "train-000000.tar"
ROWS, RECORD, PLAN = (f".unfinished/{name}" for name in (f"{TAR}.rows", f"{TAR}.json", "plan.json"))

ALL = 99


def write(out: Path) -> None:
    write_squares(out, Squares(np.arange(80)), workers=1, shard_size=0.02)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    write(folder := tmp_path_factory.mktemp("whole") / "shards")
    return folder


@pytest.fixture(scope="module")
def unfinished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All shards are written, but not the tables."""

    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    folder = tmp_path_factory.mktemp("unfinished") / "shards"
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(shard_run, "publish", interrupt)
        write(folder)
    return folder


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def more_samples(path: Path) -> None:
    path.write_text(path.read_text().replace('"samples": ', '"samples": 1'))


@pytest.mark.parametrize(
    ("name", "change", "again"),
    [
        (TAR, None, 0),
        (TAR, Path.unlink, 1),
        (TAR, cut, 1),
        (TAR, lambda path: flip(path, 2000), 1),
        ("train-000000.idx", Path.unlink, 1),
        ("train-000000.idx", lambda path: flip(path, 9), 1),
        (ROWS, lambda path: path.write_bytes(b""), 1),
        (ROWS, lambda path: flip(path, 9), 1),
        (RECORD, cut, 1),
        (RECORD, lambda path: path.write_text("[]"), 1),
        (RECORD, more_samples, 1),
        (PLAN, cut, ALL),
        (PLAN, lambda path: path.write_text("{}"), ALL),
    ],
)
def test_the_same_bytes(
    name: str,
    change: Callable[[Path], object] | None,
    again: int,
    whole: Path,
    unfinished: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written: list[int] = []

    def counted(plan: object, shards: list[object], *arguments: object) -> object:
        written.append(len(shards))
        return write_locally(plan, shards, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(shard_run, "write_locally", counted)
    out = Path(shutil.copytree(unfinished, tmp_path / "shards"))
    if change is not None:
        change(out / name)
    write(out)
    got, expected = contents(out), contents(whole)
    assert got.keys() == expected.keys()
    # The manifest has the path of the output.
    assert [key for key in got if key != "dataset.json" and got[key] != expected[key]] == []
    shards = len([key for key in got if key.endswith(".tar")])
    assert written == [shards if again == ALL else again]


def test_a_run_of_another_encoder_is_not_continued(
    unfinished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its shards may have other bytes than those that this version would add."""
    shutil.copytree(unfinished, out := tmp_path / "shards")
    monkeypatch.setattr(shard_run, "ENCODER", shard_run.ENCODER + 1)
    with pytest.raises(MisuseError, match="a version that encodes images otherwise began it"):
        write(out)
