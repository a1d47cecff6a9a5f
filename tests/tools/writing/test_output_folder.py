"""The output folder: locked by one run, no other files in it, no scratch files left in it."""

from pathlib import Path

import pytest

from pipeline.errors import DataError, MisuseError
from tools.writing.output_folder import PLAN_NAME, UNFINISHED, Store


@pytest.mark.parametrize("name", ["notes.txt", "train-000000.tar", "dataset.json"])
def test_other_files_are_not_touched(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"precious")
    with pytest.raises(MisuseError, match=name), Store(str(tmp_path)).lock():
        pass
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == b"precious"


def test_a_file_as_output_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("precious")
    with (
        pytest.raises(MisuseError, match="is a file: give a folder"),
        Store(str(tmp_path / "out")).lock(),
    ):
        pass


def test_an_error_before_the_first_shard_leaves_nothing(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "out"))
    with pytest.raises(ZeroDivisionError), store.lock(), store.scratch() as folder:
        (folder / "part").write_bytes(b"half")
        raise ZeroDivisionError
    assert not (tmp_path / "out").exists()


def test_rejected_csv_remains_after_an_error(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "out"))
    with pytest.raises(ZeroDivisionError), store.lock(), store.scratch() as folder:
        (folder / "list").write_bytes(b"a,b")
        store.put(folder / "list", "rejected.csv")
        raise ZeroDivisionError
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["rejected.csv"]
    with store.lock():
        pass


def test_finished_shards_remain_after_an_error_and_scratch_does_not(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    with pytest.raises(ZeroDivisionError), store.lock(), store.scratch() as folder:
        for name in (PLAN_NAME, "train-000000.tar", f"{UNFINISHED}/train-000000.tar.json"):
            (folder / "file").write_bytes(b"whole")
            store.put(folder / "file", name)
        (folder / "part").write_bytes(b"half")
        raise ZeroDivisionError
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {
        "train-000000.tar",
        ".unfinished/lock",
        ".unfinished/plan.json",
        ".unfinished/train-000000.tar.json",
    }
    with store.lock(), store.scratch() as folder:
        (folder / "dataset.json").write_text("{}")
        store.finish(folder / "dataset.json")
    assert {path.name for path in tmp_path.iterdir()} == {"train-000000.tar", "dataset.json"}


def test_a_second_run_is_locked_out(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    with (
        store.lock(),
        pytest.raises(
            DataError, match=r"Another tools/shard is writing to --out .*: wait for it to finish"
        ),
        Store(str(tmp_path)).lock(),
    ):
        pass


def test_a_url_as_output(tmp_path: Path) -> None:
    store = Store("memory://store/out")
    assert store.names() == set()
    (tmp_path / "file").write_bytes(b"abc")
    store.put(tmp_path / "file", "train-000000.tar")
    assert store.names() == {"train-000000.tar"} and store.read("train-000000.tar") == b"abc"
    assert not (tmp_path / "file").exists()
    with pytest.raises(MisuseError, match="holds other files"), store.lock():
        pass
    store.remove("train-000000.tar")
    with store.lock(), store.scratch() as folder:
        (folder / "dataset.json").write_text("{}")
        store.finish(folder / "dataset.json")
    assert store.names() == {"dataset.json"}


def test_an_unknown_url_is_rejected() -> None:
    with pytest.raises(MisuseError, match=r"nowhere://x can't be opened: .*nowhere"):
        Store("nowhere://x").names()
