"""Worker processes that somebody stops."""

import os
import signal
from pathlib import Path

import pytest

from tools.workers import Workers, default_workers


def do_nothing() -> None:
    pass


def stop_once(path: Path) -> int:
    """Stop this process the first time that this is called with `path`."""
    if path.name == "stopped" and not path.exists():
        path.touch()
        os.kill(os.getpid(), signal.SIGSTOP)
    return os.getpid()


def test_a_stopped_worker_is_named_and_replaced(tmp_path: Path) -> None:
    said: list[str] = []
    tasks = [tmp_path / "first", tmp_path / "stopped", tmp_path / "last"]
    with Workers(
        1, prepare=do_nothing, say=said.append, quiet_seconds=0.1, timeout_seconds=0.5
    ) as workers:
        pids = list(workers.ordered(stop_once, tasks, rescue=lambda task: -1))
        again = list(workers.ordered(stop_once, tasks[:1], rescue=lambda task: -1))
    # A killed worker makes suspects of all unfinished tasks.
    assert pids[0] > 0 and pids[1:] == [-1, -1] and again[0] not in (pids[0], -1)
    assert len(said) == 1
    assert f"`kill -CONT {pids[0]}` continues them, and after 0.5 s (--worker-timeout)" in said[0]


def test_an_error_ends_stopped_workers(tmp_path: Path) -> None:
    class StoppedHereError(Exception):
        pass

    try:
        with Workers(1, prepare=do_nothing) as workers:
            results = workers.ordered(
                stop_once, [tmp_path / "first", *[tmp_path / "stopped"] * 5], rescue=lambda task: -1
            )
            next(results)
            raise StoppedHereError
    except StoppedHereError:
        pass


@pytest.mark.parametrize(
    ("cores", "free_gib", "expected"), [(4, 64.0, 4), (64, 8.0, 16), (64, 0.1, 1), (1, 64.0, 1)]
)
def test_as_many_workers_as_cores_and_memory_allow(
    monkeypatch: pytest.MonkeyPatch, cores: int, free_gib: float, expected: int
) -> None:
    monkeypatch.setattr("tools.workers.available_cores", lambda: cores)
    monkeypatch.setattr("tools.workers.available_bytes", lambda: int(free_gib * 2**30))
    assert default_workers() == expected
