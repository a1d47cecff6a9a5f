"""Peer loaders in processes of their own."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.measuring.provenance import ROOT
from benchmarks.measuring.virtualenvs import PeerEnvironment
from benchmarks.measuring.worker_process import (
    LoaderFailedError,
    WorkerProcess,
    _last_line,
    started,
)
from benchmarks.peers.loaders.contract import Task


@dataclass(frozen=True, kw_only=True)
class LoaderLap:
    """What all processes of a loader took for a stretch of batches; `read_bytes` came from disk."""

    images: int
    seconds: float
    cpu_seconds: float
    read_bytes: int


@contextmanager
def racer(peer: str, task: Task, environment: PeerEnvironment | None) -> Iterator[WorkerProcess]:
    """The loader's process in `environment`, ours if that is None."""
    with tempfile.TemporaryDirectory() as scratch:
        command, variables = _command("laps", peer, task, environment, Path(scratch))
        with started(command, variables) as running:
            yield running


def run_alone(mode: str, peer: str, task: Task, environment: PeerEnvironment | None) -> None:
    """Let the loader "write" or "check"; raises ``LoaderFailedError``."""
    with tempfile.TemporaryDirectory() as scratch, tempfile.TemporaryFile("w+") as log:
        command, variables = _command(mode, peer, task, environment, Path(scratch))
        ended = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=variables,
            start_new_session=True,
            check=False,
        )
        if ended.returncode:
            raise LoaderFailedError(_last_line(log))


def _command(
    mode: str, peer: str, task: Task, environment: PeerEnvironment | None, scratch: Path
) -> tuple[list[str], Mapping[str, str]]:
    stated = json.dumps(asdict(task) | {"folder": str(task.folder)})
    arguments = ("benchmarks.peers.loaders.serve", mode, peer, stated)
    if environment is not None:
        return environment.command(*arguments), environment.variables(scratch)
    ours = [sys.executable, "-P", "-m", *arguments]
    return ours, os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(scratch)}


def timed_lap(
    process: WorkerProcess, *, drop_seconds: float, seconds: float, most_images: float
) -> LoaderLap:
    """Raises ``LoaderFailedError``."""
    asked = {"drop_seconds": drop_seconds, "seconds": seconds, "most_images": most_images}
    return LoaderLap(**process.ask(asked))
