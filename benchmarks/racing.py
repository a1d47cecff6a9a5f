"""Loaders in processes of their own, of which one runs at a time and the others stand still."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from benchmarks.environments import PeerEnvironment
from benchmarks.peer_loaders.contract import Task
from benchmarks.provenance import ROOT

_END_SECONDS = 5.0


class LoaderFailedError(Exception):
    """A loader's process ended; the text is the last line that it printed."""


@dataclass(frozen=True, kw_only=True)
class LoaderLap:
    """What all processes of a loader took for a stretch of batches; `read_bytes` came from disk."""

    images: int
    seconds: float
    cpu_seconds: float
    read_bytes: int


class Racer:
    """A loader's process, which leads a session. Between laps it and what it started are stopped,
    so that nothing is decoded ahead in others' time."""

    def __init__(self, process: "subprocess.Popen[str]", log: IO[str]) -> None:
        self._process, self._log = process, log
        self.pid = process.pid

    def lap(self, *, drop_seconds: float, seconds: float, most_images: float) -> LoaderLap:
        """Raises ``LoaderFailedError``."""
        asked = {"drop_seconds": drop_seconds, "seconds": seconds, "most_images": most_images}
        return LoaderLap(**self.ask(asked))

    def ask(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Let it go on until it has answered. Raises ``LoaderFailedError``."""
        self._signal(signal.SIGCONT)
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(asked) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        self._signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        if not answer:
            raise LoaderFailedError(_last_line(self._log))
        found: dict[str, Any] = json.loads(answer)
        return found

    def close(self) -> None:
        """Whatever it started ends with it."""
        self._signal(signal.SIGKILL)
        self._process.wait(_END_SECONDS)
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            with suppress(BrokenPipeError):
                stream.close()

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)


@contextmanager
def racer(peer: str, task: Task, environment: PeerEnvironment | None) -> Iterator[Racer]:
    """The loader's process in `environment`, ours if that is None."""
    with tempfile.TemporaryDirectory() as scratch:
        command, variables = _command("laps", peer, task, environment, Path(scratch))
        with started(command, variables) as running:
            yield running


@contextmanager
def started(command: Sequence[str], variables: Mapping[str, str]) -> Iterator[Racer]:
    """A process that answers each line on its stdin by one on its stdout, both JSON."""
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=variables,
            start_new_session=True,
        )
        running = Racer(process, log)
        try:
            yield running
        finally:
            running.close()


@contextmanager
def orderly_termination() -> Iterator[None]:
    """SIGTERM leaves by way of what ends the loaders, or those that stand still would stay."""

    def leave(number: int, frame: object) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


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
    arguments = ("benchmarks.peer_loaders.serve", mode, peer, stated)
    if environment is not None:
        return environment.command(*arguments), environment.variables(scratch)
    ours = [sys.executable, "-P", "-m", *arguments]
    return ours, os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(scratch)}


def _last_line(log: IO[str]) -> str:
    log.seek(0)
    lines = [line for line in log.read().splitlines() if line.strip()]
    return lines[-1] if lines else "it printed nothing"
