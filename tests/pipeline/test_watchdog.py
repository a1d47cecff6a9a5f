"""A loader that is stuck ends with a sentence, and leaves the process able to end."""

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


def test_a_worker_does_things_in_order_and_ends() -> None:
    worker, done = DaemonThread("test"), []
    futures = [worker.submit(lambda n=n: done.append(n) or n) for n in range(100)]
    assert [future.result() for future in futures] == done == list(range(100))
    worker.close(finally_do=lambda: done.append(-1))
    assert done[-1] == -1


def test_a_worker_hands_errors_on() -> None:
    worker = DaemonThread("test")

    def fail() -> None:
        raise StopIteration("end")

    with pytest.raises(StopIteration, match="end"):
        worker.submit(fail).result()
    assert worker.submit(lambda: 5).result() == 5
    worker.close()


def test_a_stuck_worker_is_left_behind() -> None:
    worker, let_go = DaemonThread("test"), threading.Event()
    stuck, behind = worker.submit(let_go.wait), worker.submit(lambda: None)
    worker.close(wait=False)
    for future in (stuck, behind):
        assert future.done()
    let_go.set()


def test_a_watch_counts_from_the_last_move() -> None:
    watchdog, worker, let_go = StallWatchdog(0.3, rank=3), DaemonThread("test"), threading.Event()
    watchdog.heartbeat("reading a.tar")

    def slow_but_moving() -> int:
        for _ in range(8):
            time.sleep(0.1)
            watchdog.heartbeat()
        return 7

    assert watchdog.wait(worker.submit(slow_but_moving)) == 7
    with pytest.raises(DataError, match=r"Rank 3 is stuck: .* 0.3 s .* while reading a\.tar"):
        watchdog.wait(worker.submit(let_go.wait))
    assert watchdog.stalled
    watchdog.decoding = "DALI decodes step 5"
    with pytest.raises(DataError, match="while DALI decodes step 5"):
        watchdog.wait(worker.submit(let_go.wait))
    let_go.set()
    worker.close()


def test_a_timeout_of_the_system_is_not_a_stall() -> None:
    worker = DaemonThread("test")

    def fail() -> None:
        raise TimeoutError("Connection timed out")

    with pytest.raises(TimeoutError, match="Connection timed out"):
        StallWatchdog(60, rank=0).wait(worker.submit(fail))
    worker.close()


@pytest.fixture
def hanging(digits_shards: Path, tmp_path: Path) -> Iterator[Path]:
    """Shards that hang when they are opened, once ``hang`` is called."""
    shards = Path(shutil.copytree(digits_shards, tmp_path / "shards"))
    yield shards
    for tar in shards.glob("train-*.tar"):
        if tar.is_fifo():  # let the threads go that were left behind
            os.close(os.open(tar, os.O_RDWR))


def hang(shards: Path) -> None:
    for tar in shards.glob("train-*.tar"):
        tar.unlink()
        os.mkfifo(tar)


def loader_of(shards: Path, **settings: float) -> Loader:
    return train_loader(
        Dataset(shards),
        PipelineConfig(threads=1, **settings),  # type: ignore[arg-type]
        global_batch_size=24,
        device=torch.device("cpu"),
        rank=1,
        world_size=2,
    )


def test_a_hanging_shard_is_named(hanging: Path) -> None:
    loader = loader_of(hanging, stall_timeout=0.5)
    hang(hanging)
    sentence = r"Rank 1 is stuck: no progress for 0.5 s .* reading .*train-000000\.tar"
    with pytest.raises(DataError, match=sentence), loader:
        next(iter(loader))


def test_a_slow_consumer_is_no_stall(digits_shards: Path) -> None:
    with loader_of(digits_shards, stall_timeout=0.4) as loader:
        for _ in islice(loader, 3):
            time.sleep(0.6)


def test_a_process_with_a_stuck_loader_ends(hanging: Path) -> None:
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
