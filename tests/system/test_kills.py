"""A run that is killed at random times and restarted equals an uninterrupted one, bit by bit."""

import random
import time
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import torch

from tests.helpers.amounts import full_or_tenth
from tests.helpers.processes import lines, start_ranks

KILLS = full_or_tenth(30)
STEPS = 80 * KILLS
GLOBAL_BATCH_SIZE = 64


def test_a_killed_and_resumed_run_equals_an_uninterrupted_one(
    digits_shards: Path, tmp_path: Path, loaded: ForkServerContext
) -> None:
    settings = {
        "shards": str(digits_shards),
        "epochs": STEPS * GLOBAL_BATCH_SIZE / 1617,
        "global_batch_size": GLOBAL_BATCH_SIZE,
        "checkpoint_minutes": 0.002,
        "val_every": 2.0,
        "log_every": 7,
        "threads": 1,
    }

    def start(out: Path) -> Any:
        (process,) = start_ranks(loaded, 1, **settings, out=str(out))
        return process

    whole = start(tmp_path / "whole")
    whole.join()
    assert whole.exitcode == 0
    times = [line["time"] for line in lines(tmp_path / "whole", "train")]

    delays, positions = random.Random(KILLS), set()
    for kill in range(KILLS):
        process = start(tmp_path / "parts")
        wait_for_training(process, tmp_path / "parts")
        if kill % 2:  # other kills may come before a new checkpoint
            wait_for_checkpoint(process, tmp_path / "parts")
        process.join(delays.uniform(0, 0.5) * (times[-1] - times[0]) / KILLS)
        assert process.exitcode is None, f"the run ended after {kill} kills"
        process.kill()
        process.join()
        positions.add(position(tmp_path / "parts"))
    last = start(tmp_path / "parts")
    last.join()
    assert last.exitcode == 0
    assert len(positions) > 1
    ends = [read(tmp_path / name) for name in ("whole", "parts")]
    assert ends[0]["progress"] == ends[1]["progress"]
    for entry in ("network", "optimizer"):
        torch.testing.assert_close(ends[0][entry], ends[1][entry], rtol=0, atol=0)


def wait_for_training(process: Any, out: Path) -> None:
    """Wait until the process has opened metrics.jsonl, just before its first step."""
    metrics, started = out / "metrics.jsonl", time.time()
    while process.is_alive() and not (metrics.exists() and metrics.stat().st_mtime > started):
        time.sleep(0.01)


def wait_for_checkpoint(process: Any, out: Path) -> None:
    """Wait until the process has saved a checkpoint."""
    before = position(out)
    while process.is_alive() and position(out) == before:
        time.sleep(0.01)


def read(out: Path) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(out / "checkpoint.pt", weights_only=True)
    return state


def position(out: Path) -> int | None:
    """Position of the newest checkpoint; None before the first."""
    if not (out / "checkpoint.pt").exists():
        return None
    return int(read(out)["progress"]["position"])
