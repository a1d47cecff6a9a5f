"""One run, one folder: a lock that says who holds it, exclusive new folders, no links followed."""

import errno
import fcntl
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

from pipeline.errors import DataError
from trainer.config import RunConfig
from trainer.files import replace_text
from trainer.run.metrics_writer import MetricsFile
from trainer.run.run_dir import open_run_dir, resolve_run_dir, write_config
from trainer.run.run_lock import LOCK_NAME, lock_run


def hold(folder: Path) -> None:
    with lock_run(folder):
        (folder / "held").touch()
        time.sleep(600)


def test_a_folder_is_locked_until_its_process_is_killed(
    tmp_path: Path, loaded: ForkServerContext
) -> None:
    process = loaded.Process(target=hold, args=(tmp_path,))
    process.start()
    while not (tmp_path / "held").exists():
        assert process.is_alive()
        time.sleep(0.02)
    (tmp_path / "held").unlink()
    config = RunConfig(out=str(tmp_path))
    with pytest.raises(DataError, match=rf"\(pid {process.pid} on .*, since 2.*\) is training in"):
        open_run_dir(config)
    process.kill()
    process.join()
    run_dir, lock = open_run_dir(config)
    assert run_dir.path == tmp_path and str(os.getpid()) in (tmp_path / LOCK_NAME).read_text()
    lock.close()


def test_goes_on_without_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    for _ in range(2):
        lock_run(tmp_path).close()
    assert capsys.readouterr().err.count("has no locks (No locks available)") == 1


def test_a_strange_lock_file_is_described_safely(tmp_path: Path) -> None:
    path = tmp_path / LOCK_NAME
    for text in ("", "[1]", '{"pid": 3, "host": "a\\u001b[31m", "since": 1e99}'):
        path.write_text(text)
        with path.open("rb") as other:
            fcntl.flock(other, fcntl.LOCK_EX)
            with pytest.raises(DataError, match=r"^Another process is training in"):
                lock_run(tmp_path)
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="delete it if it is a link"):
        lock_run(tmp_path)
    assert not (tmp_path / "elsewhere").exists()


def test_runs_of_one_second_get_different_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(time, "strftime", lambda *_: "now")
    together = threading.Barrier(8)

    def begin(_: int) -> Path:
        together.wait()
        return resolve_run_dir(RunConfig()).path

    with ThreadPoolExecutor(8) as pool:
        assert len({*pool.map(begin, range(8))}) == 8


def test_no_link_in_a_run_is_written_through(tmp_path: Path) -> None:
    victim, run = tmp_path / "victim", tmp_path / "run"
    victim.write_text("precious")
    run.mkdir()
    names = ["config.json", "metrics.jsonl", "metrics.partial", "confusion.png"]
    for name in names:
        (run / name).symlink_to(victim)
        replace_text(run / name, "first")
        # The name of its temporary file is known.
        (run / name).unlink()
        (run / name).symlink_to(victim)
    write_config(run, {})
    metrics = MetricsFile(run, samples=8, position=0)
    metrics.write(metrics.new_record("train", position=8))
    metrics.close()
    assert victim.read_text() == "precious"
    assert (run / "config.json").read_text() == "{}\n" and not (run / "metrics.jsonl").is_symlink()


def test_a_link_in_place_of_a_temporary_file_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim, names = tmp_path / "victim", []
    victim.write_text("precious")
    original = Path.replace

    def note(self: Path, target: Path) -> Path:
        names.append(self)
        return original(self, target)

    monkeypatch.setattr(Path, "replace", note)
    replace_text(tmp_path / "config.json", "1")
    names[0].symlink_to(victim)
    replace_text(tmp_path / "config.json", "2")
    assert victim.read_text() == "precious" and (tmp_path / "config.json").read_text() == "2"
