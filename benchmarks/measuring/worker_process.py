"""Loaders in processes of their own, of which one runs at a time and the others stand still."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import IO, Any

_END_SECONDS = 5.0


class LoaderFailedError(Exception):
    """A loader's process ended; the text is the last line that it printed."""


class WorkerProcess:
    """A loader's process, which leads a session. Between laps it and what it started are stopped,
    so that nothing is decoded ahead in others' time."""

    def __init__(self, process: "subprocess.Popen[str]", log: IO[str]) -> None:
        self._process, self._log = process, log
        self.pid = process.pid

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
def started(command: Sequence[str], variables: Mapping[str, str]) -> Iterator[WorkerProcess]:
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
        running = WorkerProcess(process, log)
        try:
            yield running
        finally:
            running.close()


@contextmanager
def exit_on_sigterm() -> Iterator[None]:
    """SIGTERM leaves by way of what ends the loaders, or those that stand still would stay."""

    def leave(number: int, frame: object) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _last_line(log: IO[str]) -> str:
    log.seek(0)
    lines = [line for line in log.read().splitlines() if line.strip()]
    return lines[-1] if lines else "it printed nothing"
