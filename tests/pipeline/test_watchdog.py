"""A stuck loader stops with an error, and the process can exit."""

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
import torch

from pipeline.build import train_loader
from pipeline.config import PipelineConfig
from pipeline.daemon_thread import DaemonThread
from pipeline.errors import DataError
from pipeline.loader import Loader
from pipeline.storage.dataset import Dataset
from pipeline.watchdog import StallWatchdog

ROOT = Path(__file__).parents[2]


def test_a_daemon_thread_runs_functions_in_order() -> None:
    thread, done = DaemonThread("test"), []
    futures = [thread.submit(lambda n=n: done.append(n) or n) for n in range(100)]
    assert [future.result() for future in futures] == done == list(range(100))
    thread.close(finally_do=lambda: done.append(-1))
    assert done[-1] == -1


def test_a_daemon_thread_passes_exceptions_to_the_future() -> None:
    thread = DaemonThread("test")

    def fail() -> None:
        raise StopIteration("end")

    with pytest.raises(StopIteration, match="end"):
        thread.submit(fail).result()
    assert thread.submit(lambda: 5).result() == 5
    thread.close()


def test_closing_does_not_wait_for_a_stuck_thread() -> None:
    thread, released = DaemonThread("test"), threading.Event()
    stuck, queued = thread.submit(released.wait), thread.submit(lambda: None)
    thread.close(wait=False)
    for future in (stuck, queued):
        assert future.done()
    released.set()


def test_the_timeout_starts_at_the_last_heartbeat() -> None:
    watchdog, thread, released = StallWatchdog(0.3, rank=3), DaemonThread("test"), threading.Event()
    watchdog.heartbeat("reading a.tar")

    def slow_with_heartbeats() -> int:
        for _ in range(8):
            time.sleep(0.1)
            watchdog.heartbeat()
        return 7

    assert watchdog.wait(thread.submit(slow_with_heartbeats)) == 7
    with pytest.raises(DataError, match=r"Rank 3 is stuck: .* 0.3 s .* while reading a\.tar"):
        watchdog.wait(thread.submit(released.wait))
    assert watchdog.stalled
    watchdog.decoding = "DALI decodes step 5"
    with pytest.raises(DataError, match="while DALI decodes step 5"):
        watchdog.wait(thread.submit(released.wait))
    released.set()
    thread.close()


def test_a_timeout_error_of_the_function_is_not_a_stall() -> None:
    thread = DaemonThread("test")

    def fail() -> None:
        raise TimeoutError("Connection timed out")

    with pytest.raises(TimeoutError, match="Connection timed out"):
        StallWatchdog(60, rank=0).wait(thread.submit(fail))
    thread.close()


@pytest.fixture
def hanging(digits_shards: Path, tmp_path: Path) -> Iterator[Path]:
    """Shards that hang when they are opened after a call of ``hang``."""
    shards = Path(shutil.copytree(digits_shards, tmp_path / "shards"))
    yield shards
    for tar in shards.glob("train-*.tar"):
        if tar.is_fifo():  # unblock the stuck threads
            os.close(os.open(tar, os.O_RDWR))


def hang(shards: Path) -> None:
    for tar in shards.glob("train-*.tar"):
        tar.unlink()
        os.mkfifo(tar)


def rank_1_of_2(shards: Path, **settings: float) -> Loader:
    return train_loader(
        Dataset(shards),
        PipelineConfig(threads=1, **settings),  # type: ignore[arg-type]
        global_batch_size=24,
        device=torch.device("cpu"),
        rank=1,
        world_size=2,
    )


def test_the_error_names_a_shard_that_hangs(hanging: Path) -> None:
    loader = rank_1_of_2(hanging, stall_timeout=0.5)
    hang(hanging)
    message = r"Rank 1 is stuck: no progress for 0.5 s .* reading .*train-000000\.tar"
    with pytest.raises(DataError, match=message), loader:
        next(iter(loader))


def test_a_slow_consumer_is_not_a_stall(digits_shards: Path) -> None:
    with rank_1_of_2(digits_shards, stall_timeout=0.4) as loader:
        for _ in islice(loader, 3):
            time.sleep(0.6)


def test_a_process_with_a_stuck_loader_exits(hanging: Path) -> None:
    script = (
        "import os, sys, torch\n"
        "from pipeline import Dataset, PipelineConfig, train_loader\n"
        "config = PipelineConfig(stall_timeout=0.5, threads=1)\n"
        "loader = train_loader(Dataset(sys.argv[1]), config, global_batch_size=8,\n"
        "    device=torch.device('cpu'))\n"
        "os.unlink(sys.argv[1] + '/train-000000.tar')\n"
        "os.mkfifo(sys.argv[1] + '/train-000000.tar')\n"
        "next(iter(loader))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, str(hanging)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert run.returncode == 1
    assert "DataError: Rank 0 is stuck" in run.stderr
