"""torchrun and ranks in forked processes that have imported everything already."""

import json
import os
import signal
import socket
from collections.abc import Callable, Sequence
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

import click
import torch.distributed.run

from tests.helpers import tiny_trainer
from trainer.distributed.exit import exit_with_message

# torchrun forks the ranks from its own process and runs the script in them.
FORKED = ("--run-path", "--start-method", "fork")


def start_ranks(
    loaded: ForkServerContext,
    count: int,
    *,
    prepare: Callable[[int], None] | None = None,
    **settings: Any,
) -> list[ForkServerProcess]:
    """Start training with `settings` on `count` ranks; each first calls `prepare` with its rank.

    `prepare` must be a function of a module, or a partial of one.
    """
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
        exit_with_message(error)


def become(rank: int, count: int, port: int) -> None:
    """Make this process one of `count` ranks and pin it to a core."""
    pin(rank)
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank)}
    os.environ |= {"WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}


class Torchrun:
    """A torchrun process with `ranks` forked ranks, working in `folder`."""

    def __init__(
        self, loaded: ForkServerContext, ranks: int, *words: object, folder: Path, restarts: int = 0
    ) -> None:
        options = ("--standalone", "--nproc_per_node", ranks, "--max-restarts", restarts)
        self._output = folder / "torchrun.txt"
        self.process = loaded.Process(
            target=run_torchrun, args=([*options, *FORKED, *words], folder, self._output)
        )
        self.process.start()

    def end(self) -> tuple[int | None, str]:
        """Wait for its end; exit code and output."""
        self.process.join()
        return self.process.exitcode, self._output.read_text()


def run_torchrun(words: Sequence[object], folder: Path, output: Path) -> None:
    """Run torchrun in this process, with its output in a file."""
    os.chdir(folder)
    print_to(output)
    torch.distributed.run.main([str(word) for word in words])


def print_to(path: Path) -> None:
    """Redirect the output of this process and its children to a file."""
    file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644)
    for descriptor in (1, 2):
        os.dup2(file, descriptor)


def pin(number: int) -> None:
    """Pin this process to one core: threads that wait for each other are slow on a busy one."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[number % len(cores)]})


def exit_codes(processes: list[ForkServerProcess]) -> list[int | None]:
    """Wait for all processes; their exit codes."""
    for process in processes:
        process.join()
    return [process.exitcode for process in processes]


def kill(processes: list[ForkServerProcess]) -> None:
    for process in processes:
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
    exit_codes(processes)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def lines(out: Path, kind: str) -> list[dict[str, Any]]:
    """Records of one kind in a run's metrics.jsonl."""
    records = map(json.loads, (out / "metrics.jsonl").read_text().splitlines())
    return [record for record in records if record["kind"] == kind]
