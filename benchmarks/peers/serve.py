"""A loader in a process of its own: ``python -m benchmarks.peers.serve PEER TASK``.

It answers each line of JSON on stdin by one on stdout. `mode` is "write" (store the images in the
loader's format), "check" (check one epoch) or "lap" (``measure`` with the other entries). This
process leads a session, which includes the processes that the loader starts.
"""

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measuring.page_cache import disk_bytes
from benchmarks.peers.contract import Batch, Peer, Task, check_epoch, checked_size
from benchmarks.peers.loaders import find_peers

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
# Indices of fields after the name in /proc/<pid>/stat; proc(5) counts from 1, and the name, which
# can contain anything, is field 2.
_SESSION, _TIMES = 6 - 3, slice(14 - 3, 18 - 3)


def measure(
    batches: Iterator[Batch], task: Task, *, drop_seconds: float, seconds: float, max_images: float
) -> dict[str, float]:
    """Measure a lap: the cost of its batches for all processes of the session.

    The lap starts after `drop_seconds`, in which batches are prefetched ones or slow, and ends
    after `seconds`, or at `max_images` including the dropped ones.
    """
    total, start = 0, time.perf_counter()
    while time.perf_counter() - start < drop_seconds:
        total += checked_size(next(batches), task)
    _synchronize(task)
    dropped = total
    cpu_seconds, read_bytes = session_usage()
    start = time.perf_counter()
    while time.perf_counter() - start < seconds and total < max_images:
        total += checked_size(next(batches), task)
    _synchronize(task)
    elapsed = time.perf_counter() - start
    cpu_seconds_after, read_bytes_after = session_usage()
    return {
        "images": total - dropped,
        "seconds": elapsed,
        "cpu_seconds": cpu_seconds_after - cpu_seconds,
        "read_bytes": read_bytes_after - read_bytes,
    }


def session_usage() -> tuple[float, int]:
    """CPU seconds of this session's processes, with those of their ended children, and bytes that
    they read from disks."""
    ticks, read_bytes = 0, 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended
        if int(fields[_SESSION]) == os.getsid(0):
            ticks += sum(map(int, fields[_TIMES]))
            read_bytes += disk_bytes(folder.name) or 0
    return ticks / _TICKS_PER_SECOND, read_bytes


def _synchronize(task: Task) -> None:
    if task.device == "cuda":
        import torch

        torch.cuda.synchronize()


def _write(peer: Peer, task: Task) -> None:
    """Create the folder complete or not at all."""
    unfinished = task.folder / f"{peer.stored}.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    assert peer.write is not None
    peer.write(task, unfinished)
    os.sync()  # the kernel can't drop pages that are not on the disk yet
    unfinished.rename(task.folder / peer.stored)


def main(name: str, text: str) -> None:
    fields = json.loads(text)
    peer, task = find_peers()[name], Task(**{**fields, "folder": Path(fields["folder"])})
    # Libraries print to stderr instead, so that stdout has answers only.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    batches = peer.batches(task)
    for line in sys.stdin:
        request, answer = json.loads(line), {}
        mode = request.pop("mode")
        if mode == "write":
            _write(peer, task)
        elif mode == "check":
            check_epoch(batches, task)
        else:
            answer = measure(batches, task, **request)
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
