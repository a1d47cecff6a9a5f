"""Worker processes, of which one runs at a time and the others are suspended."""

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


class WorkerFailedError(Exception):
    """A worker process ended; the text is the last line that it printed."""


class WorkerProcess:
    """A process that leads a session. Between requests it and its children are suspended, so that
    a loader decodes nothing ahead while another is measured."""

    def __init__(self, process: "subprocess.Popen[str]", log: IO[str]) -> None:
        self._process, self._log = process, log
        self.pid = process.pid

    def request(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Resume the process until it has answered. Raises ``WorkerFailedError``."""
        self._signal(signal.SIGCONT)
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(arguments) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        self._signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        if not line:
            raise WorkerFailedError(_last_line(self._log))
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """Kill the process and its children."""
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
def start_worker(command: Sequence[str], variables: Mapping[str, str]) -> Iterator[WorkerProcess]:
    """Start a process that answers each line on its stdin by a line on its stdout, both JSON."""
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
        worker = WorkerProcess(process, log)
        try:
            yield worker
        finally:
            worker.close()


@contextmanager
def exit_on_sigterm() -> Iterator[None]:
    """SIGTERM raises ``SystemExit``, which closes the workers: a suspended process would stay."""

    def leave(number: int, frame: object) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _last_line(log: IO[str]) -> str:
    """The last line of `log` that is not blank."""
    log.seek(0)
    lines = [line for line in log.read().splitlines() if line.strip()]
    return lines[-1] if lines else "it printed nothing"
