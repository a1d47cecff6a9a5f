"""A loader in a process of its own: ``python -m benchmarks.peers.loaders.serve MODE PEER TASK``.

MODE is "write" (store the images as it wants them), "check" (go through one epoch) or "laps": each
line on stdin, the arguments of ``lap`` as JSON, is answered on stdout by one with what it found.
Processes that the loader starts are of the session that this one leads.
"""

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.peers.loaders.contract import (
    PEERS,
    Batch,
    Peer,
    Task,
    check_epoch,
    checked_size,
)

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
# In /proc/<pid>/stat behind the name, which may hold anything: proc(5) counts from 1, and the name
# is the second.
_SESSION, _TIMES = 6 - 3, slice(14 - 3, 18 - 3)


def lap(
    batches: Iterator[Batch], task: Task, drop_seconds: float, seconds: float, most_images: float
) -> dict[str, float]:
    """What a stretch of batches cost all processes, after those of `drop_seconds`, which came from
    what was decoded beforehand or warmed up. It ends at `most_images`, the dropped ones included.
    """
    total, began = 0, time.perf_counter()
    while time.perf_counter() - began < drop_seconds:
        total += checked_size(next(batches), task)
    _synchronize(task)
    dropped, start, usage = total, time.perf_counter(), session_usage()
    while time.perf_counter() - start < seconds and total < most_images:
        total += checked_size(next(batches), task)
    _synchronize(task)
    elapsed, later = time.perf_counter() - start, session_usage()
    return {
        "images": total - dropped,
        "seconds": elapsed,
        "cpu_seconds": later[0] - usage[0],
        "read_bytes": later[1] - usage[1],
    }


def session_usage() -> tuple[float, int]:
    """CPU seconds of this session's processes and of those that have ended, and the bytes that they
    had from the disk."""
    ticks, read = 0, 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(fields[_SESSION]) != os.getsid(0):
                continue
            ticks += sum(map(int, fields[_TIMES]))
            lines = (folder / "io").read_text().splitlines()
        except OSError:
            continue  # it has ended
        read += sum(int(line.split()[1]) for line in lines if line.startswith("read_bytes:"))
    return ticks / _TICKS_PER_SECOND, read


def _synchronize(task: Task) -> None:
    if task.device == "cuda":
        import torch

        torch.cuda.synchronize()


def _write(peer: Peer, task: Task) -> None:
    """Under its name there is all of it or nothing."""
    unfinished = task.folder / f"{peer.stored}.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    peer.write(task, unfinished)
    os.sync()  # pages that are not on the disk can't be dropped
    unfinished.rename(task.folder / peer.stored)


def _laps(peer: Peer, task: Task, answer: Any) -> None:
    batches = peer.batches(task)
    for line in sys.stdin:
        print(json.dumps(lap(batches, task, **json.loads(line))), file=answer, flush=True)


def main(mode: str, name: str, text: str) -> None:
    stated = json.loads(text)
    peer, task = PEERS[name], Task(**{**stated, "folder": Path(stated["folder"])})
    # What a library prints is no answer.
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    if mode == "write":
        _write(peer, task)
    elif mode == "check":
        check_epoch(peer.batches(task), task)
    else:
        _laps(peer, task, answer)


if __name__ == "__main__":
    main(*sys.argv[1:])
