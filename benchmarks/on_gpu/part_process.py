"""Runs a part in a process of its own, with a time limit and a log of bounded size."""

import os
import signal
import subprocess
import tempfile
import threading
import time
import uuid
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from benchmarks.measuring.provenance import ROOT
from benchmarks.measuring.result_file import read_bundle
from pipeline.errors import DataError

# A part that prints more loses the middle of it: a decoder can warn about each image.
FIRST_LINES, LAST_LINES, LINE_BYTES = 60, 200, 300
# To end by SIGTERM, which closes suspended processes of benchmarks.
END_SECONDS = 5.0
# Environment variable by which the processes of a part are found.
MARK = "SHARDLINE_PART"
PASSED = "passed"


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a part ended: a line of results.jsonl.

    Attributes:
        outcome: PASSED, or what went wrong.
        warnings: number of lines of the log that contain "warn"; `first_warning` is one of them.
        last_line: of the log.
        result: what it measured (``measuring.result_file``), if it got so far.
    """

    part: str
    group: str
    device: str
    outcome: str
    seconds: float = 0.0
    warnings: int = 0
    first_warning: str = ""
    last_line: str = ""
    result: Mapping[str, Any] | None = None


@dataclass
class Log:
    """The first and the last lines of a stream, and its warnings."""

    first: list[str] = field(default_factory=list)
    last: deque[str] = field(default_factory=lambda: deque(maxlen=LAST_LINES))
    dropped: int = 0
    warnings: list[str] = field(default_factory=list)
    warning_count: int = 0

    def read(self, stream: IO[bytes]) -> None:
        with stream:
            for data in iter(lambda: stream.readline(2**16), b""):
                self.add(data[:LINE_BYTES].decode(errors="replace").rstrip())

    def add(self, line: str) -> None:
        if "warn" in line.lower():
            self.warning_count += 1
            self.warnings = self.warnings or [line]
        if len(self.first) < FIRST_LINES:
            self.first.append(line)
            return
        self.dropped += len(self.last) == LAST_LINES
        self.last.append(line)

    @property
    def lines(self) -> list[str]:
        middle = [f"... {self.dropped:,} lines ..."] * bool(self.dropped)
        return [*self.first, *middle, *self.last]

    @property
    def last_line(self) -> str:
        """The last line that is neither blank nor the JSON of a result."""
        lines = (line for line in reversed(self.lines) if line.strip() and line[0] != "{")
        return next(lines, "").strip()


@dataclass(frozen=True, kw_only=True)
class PartProcess:
    """A command to which the name of its result file is added."""

    command: Sequence[str]
    variables: Mapping[str, str]
    limit_seconds: float

    def run(self, part: str, group: str, device: str) -> tuple[Ended, Log]:
        """Wait for its end or the limit, and end all processes that it started."""
        log, start, mark = Log(), time.monotonic(), uuid.uuid4().hex
        with tempfile.TemporaryDirectory() as folder:
            output = Path(folder, "result.json")
            process = subprocess.Popen(
                [*self.command, str(output)],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={**self.variables, MARK: mark},
                start_new_session=True,
            )
            assert process.stdout is not None
            reader = threading.Thread(target=log.read, args=(process.stdout,), daemon=True)
            reader.start()
            try:
                outcome = self._wait(process)
            finally:
                kill_marked(mark)
                process.wait()
                reader.join(END_SECONDS)
            outcome, result = _read_result(output, outcome)
        ended = Ended(
            part=part,
            group=group,
            device=device,
            outcome=outcome,
            seconds=round(time.monotonic() - start, 2),
            warnings=log.warning_count,
            first_warning="".join(log.warnings),
            last_line=log.last_line,
            result=result,
        )
        return ended, log

    def _wait(self, process: "subprocess.Popen[bytes]") -> str:
        try:
            return describe_exit(process.wait(self.limit_seconds))
        except subprocess.TimeoutExpired:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(END_SECONDS)
            return f"stopped after {self.limit_seconds:.0f} s"


def describe_exit(code: int) -> str:
    if code >= 0:
        return f"exit code {code}" if code else PASSED
    return f"killed by {signal.Signals(-code).name}"


def kill_marked(mark: str) -> None:
    """Kill each process that inherited the mark: a killed part leaves its suspended workers."""
    entry = f"{MARK}={mark}".encode()
    for _ in range(2):  # one of them may start another meanwhile
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if entry in (folder / "environ").read_bytes().split(b"\0"):
                    os.kill(int(folder.name), signal.SIGKILL)


def _read_result(output: Path, outcome: str) -> tuple[str, dict[str, Any] | None]:
    """The outcome, and the result; None without one."""
    if not output.exists():
        return outcome, None
    try:
        return outcome, read_bundle(output)
    except DataError as error:  # it was killed while it wrote
        return (error.message if outcome == PASSED else outcome), None
