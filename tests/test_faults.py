"""Ranks that die or stall under torchrun."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from functools import partial
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import tiny_trainer
from processes import exit_codes, kill, start_ranks

from trainer.checkpoint import CHECKPOINT_NAME

STEPS, SIZE = 150, 64


def start(folder: Path, shards: Path, *arguments: str, restarts: int) -> subprocess.Popen[str]:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    torchrun += ["--nproc_per_node", "2", "--max-restarts", str(restarts), tiny_trainer.__file__]
    settings = ["--shards", str(shards), "--model", tiny_trainer.MODEL, "--val-every", "0"]
    settings += ["--global-batch-size", str(SIZE), "--epochs", str(STEPS * SIZE / 1617)]
    return subprocess.Popen(
        [*torchrun, *settings, "--checkpoint-minutes", "0.005", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def rank(parent: int, number: int) -> int:
    """The process of a rank."""
    for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        environment = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
        if f"RANK={number}".encode() in environment:
            return int(child)
    raise AssertionError(f"there is no rank {number}")


def wait_for(process: subprocess.Popen[str], folder: Path, pattern: str) -> Path:
    while process.poll() is None:
        for path in folder.glob(pattern):
            return path
        time.sleep(0.05)
    raise AssertionError(process.communicate()[1])


def records(path: Path, kind: str) -> list[dict[str, Any]]:
    return [line for line in map(json.loads, path.read_text().splitlines()) if line["kind"] == kind]


def test_a_killed_rank_is_started_anew(digits_shards: Path, tmp_path: Path) -> None:
    process = start(tmp_path, digits_shards, restarts=3)
    try:
        checkpoint = wait_for(process, tmp_path, f"runs/*/{CHECKPOINT_NAME}")
        os.kill(rank(process.pid, 1), signal.SIGKILL)
        output, errors = process.communicate()
    finally:
        process.kill()
    assert process.returncode == 0, errors
    assert "Going on from" in output
    assert len([*(tmp_path / "runs").iterdir()]) == 1
    # Each step's samples once.
    steps = records(checkpoint.parent / "metrics.jsonl", "train")
    ends = [step["position"] for step in steps]
    assert ends == sorted(ends) and ends[-1] == STEPS * SIZE
    assert sum(step["images"] for step in steps) == STEPS * SIZE


def test_a_rank_that_stalls_is_named(digits_shards: Path, tmp_path: Path) -> None:
    process = start(tmp_path, digits_shards, "--rank-timeout", "6", restarts=0)
    try:
        wait_for(process, tmp_path, f"runs/*/{CHECKPOINT_NAME}")
        stalled = rank(process.pid, 1)
        os.kill(stalled, signal.SIGSTOP)
        alive = Path(f"/proc/{rank(process.pid, 0)}/fd")
        while process.poll() is None and alive.is_dir() and any_open(alive):
            time.sleep(0.1)
        os.kill(stalled, signal.SIGKILL)
        _, errors = process.communicate()
    finally:
        process.kill()
    assert process.returncode == 1
    assert re.search(r"Error: Rank 1 has died, or has not answered for 6 s", errors), errors


def test_rank_0_dies_with_the_store_that_it_holds(
    digits_shards: Path, tmp_path: Path, loaded: ForkServerContext
) -> None:
    """As where each start of the ranks has a store of its own (docs/nodes.md)."""
    out, errors = tmp_path / "run", tmp_path / "errors.txt"
    settings = {"shards": str(digits_shards), "out": str(out), "threads": 1}
    settings |= {"epochs": 1000.0, "checkpoint_minutes": 0.002}
    ranks = start_ranks(loaded, 2, prepare=partial(write_errors, errors), **settings)
    while not (out / CHECKPOINT_NAME).exists():
        assert all(process.is_alive() for process in ranks)
        time.sleep(0.02)
    kill(ranks[:1])
    assert exit_codes(ranks[1:]) == [1]
    assert errors.read_text().count("Error: Rank 0 has died") == 1
    assert "Traceback" not in errors.read_text()


def write_errors(path: Path, rank: int) -> None:
    if rank == 1:
        os.dup2(os.open(path, os.O_CREAT | os.O_WRONLY), 2)


def any_open(files: Path) -> bool:
    """Whether a process holds files: one that has ended, and is not waited for, doesn't."""
    try:
        return any(files.iterdir())
    except OSError:
        return False
