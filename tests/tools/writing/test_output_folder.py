"""The output folder: locked by one run, no other files in it, no scratch files left in it."""

import errno
import fcntl
import os
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import DataError, MisuseError
from pipeline.storage.folder_kinds import UNFINISHED
from tests.helpers.shard_runs import photographs, shard
from tools.checking.check import check_shards
from tools.download.file_index import index_files
from tools.writing.output_folder import PLAN_NAME, Store


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
        store.finish(folder / "dataset.json", ())
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
        store.finish(folder / "dataset.json", ())
    assert store.names() == {"dataset.json"}


def test_an_unknown_url_is_rejected() -> None:
    with pytest.raises(MisuseError, match=r"nowhere://x can't be opened: .*nowhere"):
        Store("nowhere://x").names()


def test_a_run_that_was_killed_after_the_manifest_is_finished_by_the_same_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    src, out = photographs(tmp_path / "src"), tmp_path / "out"

    def killed(store: Store, files: object) -> None:
        store.remove(f"{UNFINISHED}/train-000000.tar.rows")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Store, "clean_up", killed)
        assert shard(src, out).exit_code == 130
    assert (out / "dataset.json").exists() and (out / PLAN_NAME).exists()
    check_shards(out, decode=False, workers=1, limit=5)
    before = (out / "dataset.json").read_bytes()
    other = shard(src, out, "--seed", "1")
    assert other.exit_code == 2 and "--seed was 0, now 1" in other.output
    again = shard(src, out)
    assert again.exit_code == 0 and "was complete: removed what the earlier run" in again.output
    assert not (out / UNFINISHED).exists() and (out / "dataset.json").read_bytes() == before
    third = shard(src, out)
    assert third.exit_code == 2 and "already holds a dataset" in third.output


def test_a_run_whose_disk_was_full_after_its_first_tar_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    src, out = photographs(tmp_path / "src"), tmp_path / "out"
    write = Store.write

    def full(store: Store, data: bytes, name: str, folder: Path) -> None:
        if name.endswith(".idx"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(store, data, name, folder)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "write", full)
        stopped = shard(src, out)
    assert stopped.exit_code == 1 and "No space left" in stopped.output
    assert list(out.glob("*.tar")) and not list(out.rglob("*.tar.json"))
    assert shard(src, out).exit_code == 0
    check_shards(out, decode=False, workers=1, limit=5)


def test_a_time_that_wobbles_is_an_error_that_names_the_option(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(b"x")
    for trust_size in (False, True):
        index = index_files(str(tmp_path), trust_size=trust_size)
        os.utime(tmp_path / "1.png", (1, trust_size))
        images = index.take(np.arange(1)).load(10)
        if trust_size:
            assert [data for _, data in images] == [b"x"]
        else:
            with pytest.raises(DataError, match=r"changed while .* or with --trust-size"):
                list(images)


def test_the_output_is_looked_at_under_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look, held = Store._require_own_files, list[bool]()

    def looked(store: Store, *, appends: bool) -> None:
        held.append((tmp_path / UNFINISHED / "lock").exists())
        look(store, appends=appends)
        if len(held) == 1:
            (tmp_path / "dataset.json").write_text("{}")  # another run ends at this moment

    monkeypatch.setattr(Store, "_require_own_files", looked)
    with pytest.raises(MisuseError, match="already holds a dataset"), Store(str(tmp_path)).lock():
        pass
    assert held == [False, True] and not (tmp_path / UNFINISHED).exists()


def test_a_lock_that_its_run_has_removed_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock, removed = fcntl.flock, list[Path]()

    def late(descriptor: int, operation: int) -> None:
        path = tmp_path / UNFINISHED / "lock"
        if not removed:
            path.unlink()
            removed.append(path)
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    with Store(str(tmp_path)).lock():
        assert (tmp_path / UNFINISHED / "lock").exists()
        with pytest.raises(DataError, match="Another"), Store(str(tmp_path)).lock():
            pass


def test_a_disk_without_locks_and_syncs_gets_a_dataset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr(os, "fsync", refuse)
    store = Store(str(tmp_path / "out"))
    with store.lock(), store.scratch() as folder:
        store.write(b"abc", "train-000000.tar", folder)
    assert (tmp_path / "out" / "train-000000.tar").read_bytes() == b"abc"
