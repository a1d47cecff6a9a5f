"""Ranks as torchrun starts them, but in processes where everything is imported already."""

import json
import os
import signal
import socket
from collections.abc import Callable
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

import click
import tiny_trainer

from trainer.endings import leave_saying


def start_ranks(
    loaded: ForkServerContext,
    count: int,
    *,
    prepare: Callable[[int], None] | None = None,
    **settings: Any,
) -> list[ForkServerProcess]:
    """Train with `settings` on `count` ranks, which call `prepare`, of a module, with their number
    before."""
    port = free_port()
    processes = [
        loaded.Process(target=_train, args=(rank, count, port, prepare, settings))
        for rank in range(count)
    ]
    for process in processes:
        process.start()
    return processes


def _train(
    rank: int,
    count: int,
    port: int,
    prepare: Callable[[int], None] | None,
    settings: dict[str, Any],
) -> None:
    become(rank, count, port)
    if prepare:
        prepare(rank)
    try:
        tiny_trainer.train(**settings)
    except click.ClickException as error:
        leave_saying(error)


def become(rank: int, count: int, port: int) -> None:
    """Make this process one of `count` ranks, with a core of its own."""
    pin(rank)
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank)}
    os.environ |= {"WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}


def pin(number: int) -> None:
    """Let this process have one core: threads that wait for each other are slow on a busy one."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[number % len(cores)]})


def exit_codes(processes: list[ForkServerProcess]) -> list[int | None]:
    """Once all have ended."""
    for process in processes:
        process.join()
    return [process.exitcode for process in processes]


def kill(processes: list[ForkServerProcess]) -> None:
    for process in processes:
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
    exit_codes(processes)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def lines(out: Path, kind: str) -> list[dict[str, Any]]:
    """Those of a run's metrics.jsonl."""
    records = map(json.loads, (out / "metrics.jsonl").read_text().splitlines())
    return [record for record in records if record["kind"] == kind]
