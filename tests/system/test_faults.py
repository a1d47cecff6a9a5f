"""Ranks that die or stall."""

import os
import re
import signal
import time
from functools import partial
from multiprocessing.context import ForkServerContext
from pathlib import Path

from tests.helpers import tiny_trainer
from tests.helpers.processes import Torchrun, exit_codes, kill, lines, start_ranks
from trainer.files import CHECKPOINT_NAME

STEPS, SIZE = 150, 64


def start(
    loaded: ForkServerContext, folder: Path, shards: Path, *arguments: str, restarts: int
) -> Torchrun:
    settings = ["--shards", str(shards), "--model", tiny_trainer.MODEL, "--val-every", "0"]
    settings += ["--global-batch-size", str(SIZE), "--epochs", str(STEPS * SIZE / 1617)]
    settings += ["--threads", "1", "--checkpoint-minutes", "0.005", *arguments]
    script = tiny_trainer.__file__
    return Torchrun(loaded, 2, script, *settings, folder=folder, restarts=restarts)


def pid_of_rank(started: Torchrun, number: int) -> int:
    """Process id of a rank: the children of torchrun are the ranks, in order."""
    pid = started.process.pid
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[number])


def wait_for(started: Torchrun, folder: Path, pattern: str) -> Path:
    while started.process.is_alive():
        for path in folder.glob(pattern):
            return path
        time.sleep(0.02)
    raise AssertionError(started.end())


def test_a_killed_rank_is_restarted(
    digits_shards: Path, tmp_path: Path, loaded: ForkServerContext
) -> None:
    started = start(loaded, tmp_path, digits_shards, restarts=3)
    checkpoint = wait_for(started, tmp_path, f"runs/*/{CHECKPOINT_NAME}")
    os.kill(pid_of_rank(started, 1), signal.SIGKILL)
    exit_code, output = started.end()
    assert exit_code == 0, output
    assert "Resuming from" in output
    assert len([*(tmp_path / "runs").iterdir()]) == 1
    # Each step is logged once.
    steps = lines(checkpoint.parent, "train")
    ends = [step["position"] for step in steps]
    assert ends == sorted(ends) and ends[-1] == STEPS * SIZE
    assert sum(step["images"] for step in steps) == STEPS * SIZE


def test_a_rank_that_stalls_is_named(
    digits_shards: Path, tmp_path: Path, loaded: ForkServerContext
) -> None:
    started = start(loaded, tmp_path, digits_shards, "--rank-timeout", "4", restarts=0)
    wait_for(started, tmp_path, f"runs/*/{CHECKPOINT_NAME}")
    stalled = pid_of_rank(started, 1)
    os.kill(stalled, signal.SIGSTOP)
    open_files = Path(f"/proc/{pid_of_rank(started, 0)}/fd")
    while started.process.is_alive() and open_files.is_dir() and any_open(open_files):
        time.sleep(0.1)
    os.kill(stalled, signal.SIGKILL)
    exit_code, output = started.end()
    assert exit_code == 1
    assert re.search(r"Error: Rank 1 died or did not respond for 4 s", output), output


def test_rank_0_dies_with_the_store_that_it_hosts(
    digits_shards: Path, tmp_path: Path, loaded: ForkServerContext
) -> None:
    """As if each start of the ranks had its own store (docs/nodes.md)."""
    out, errors = tmp_path / "run", tmp_path / "errors.txt"
    settings = {"shards": str(digits_shards), "out": str(out), "threads": 1}
    settings |= {"epochs": 1000.0, "checkpoint_minutes": 0.002}
    ranks = start_ranks(loaded, 2, prepare=partial(write_errors, errors), **settings)
    while not (out / CHECKPOINT_NAME).exists():
        assert all(process.is_alive() for process in ranks)
        time.sleep(0.02)
    kill(ranks[:1])
    assert exit_codes(ranks[1:]) == [1]
    assert errors.read_text().count("Error: Rank 0 died") == 1
    assert "Traceback" not in errors.read_text()


def write_errors(path: Path, rank: int) -> None:
    if rank == 1:
        os.dup2(os.open(path, os.O_CREAT | os.O_WRONLY), 2)


def any_open(files: Path) -> bool:
    """Whether a process has open files, which a zombie has not."""
    try:
        return any(files.iterdir())
    except OSError:
        return False
