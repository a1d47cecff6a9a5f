"""Wall time, CPU time and memory of a command, summed over all its processes.

``measure`` runs this file as a program, whose descendants are exactly the command's processes. As
their subreaper it inherits those that outlive their parent, such as a fork server, with their CPU
time.
"""

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_SAMPLE_SECONDS = 0.1
# Processes that outlive the command for longer are killed.
_ORPHAN_SECONDS = 10.0
_SHOWN_CHARACTERS = 100_000


class CommandFailedError(Exception):
    """A command failed; the text is the last line that it printed."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Cost of a command.

    Attributes:
        seconds: from its start to its end.
        cpu_seconds: of all its processes.
        peak_bytes: peak memory of all processes together, 0 unless measured.
        peak_own_bytes: the same without the pages of mapped files.
        output: the end of what it printed.
    """

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    peak_own_bytes: int
    output: str


def measure(
    command: Sequence[str], *, memory: bool = False, environment: Mapping[str, str] | None = None
) -> Cost:
    """Run `command` to its end; raises ``CommandFailedError``.

    `memory` samples the proportional set size, which counts a page that n processes share as 1/n
    for each of them. The sampling takes CPU time from the command.
    """
    program = [sys.executable, "-I", __file__, "memory" if memory else "time", *command]
    ended = subprocess.run(program, stdout=subprocess.PIPE, check=True, env=environment)
    cost = json.loads(ended.stdout)
    if cost.pop("code"):
        lines = cost["output"].strip().splitlines()
        raise CommandFailedError(lines[-1] if lines else "it printed nothing")
    return Cost(**cost)


class _PeakMemory(threading.Thread):
    """Samples the memory of this process's descendants until ``stop``."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.bytes = self.own_bytes = 0
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(_SAMPLE_SECONDS):
            sizes = [_proportional_bytes(pid) for pid in _descendants(os.getpid())]
            self.bytes = max(self.bytes, sum(size for size, _ in sizes))
            self.own_bytes = max(self.own_bytes, sum(own for _, own in sizes))

    def stop(self) -> None:
        self._ended.set()
        self.join()


def _descendants(pid: int) -> Iterator[int]:
    """All descendants, without those that end meanwhile."""
    for task in Path(f"/proc/{pid}/task").glob("*"):
        try:
            children = (task / "children").read_text().split()
        except OSError:
            continue
        for child in map(int, children):
            yield child
            yield from _descendants(child)


def _proportional_bytes(pid: int) -> tuple[int, int]:
    """Proportional set size with and without the pages of files."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        return 0, 0
    kibibytes = {name: int(value.split()[0]) for name, value in (x.split(":") for x in lines)}
    size = kibibytes.get("Pss", 0)
    return size * 1024, (size - kibibytes.get("Pss_File", 0)) * 1024


def _await_orphans() -> None:
    """Wait until this process has no children left."""
    deadline = time.monotonic() + _ORPHAN_SECONDS
    while True:
        try:
            ended, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not ended:
            time.sleep(0.01)
            if time.monotonic() > deadline:
                for pid in _descendants(os.getpid()):
                    os.kill(pid, signal.SIGKILL)


def _main(mode: str, *command: str) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    sampler = _PeakMemory()
    with tempfile.TemporaryFile() as output:
        start = time.perf_counter()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        if mode == "memory":
            sampler.start()
        code = process.wait()
        seconds = time.perf_counter() - start
        if mode == "memory":
            sampler.stop()
        _await_orphans()
        output.seek(0)
        printed = output.read().decode(errors="replace")[-_SHOWN_CHARACTERS:]
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cost = {
        "code": code,
        "seconds": seconds,
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "peak_bytes": sampler.bytes,
        "peak_own_bytes": sampler.own_bytes,
        "output": printed,
    }
    print(json.dumps(cost))


if __name__ == "__main__":
    _main(*sys.argv[1:])
