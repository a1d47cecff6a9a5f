"""Measurements of one peer in a process of its own, with a warm or a cold page cache."""

import json
import math
import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.measuring import page_cache
from benchmarks.measuring.virtualenvs import Virtualenv
from benchmarks.measuring.worker_process import WorkerFailedError, WorkerProcess, start_worker
from benchmarks.peers.contract import Peer, Task
from benchmarks.peers.loaders import find_peers
from pipeline.console import print_line


@dataclass(frozen=True, kw_only=True)
class LoaderLap:
    """Cost of a sequence of batches for all processes of a loader; `read_bytes` from disks."""

    images: int
    seconds: float
    cpu_seconds: float
    read_bytes: int


@dataclass(kw_only=True)
class PeerRun:
    """A peer on one format of the images.

    Attributes:
        drop_seconds: duration of the start of a lap that is not measured.
        seconds: duration of a lap.
        failure: why it could not be measured.
        cached_shares: share of its files in the page cache before each lap.
    """

    key: str
    task: Task
    virtualenv: Virtualenv = field(default_factory=Virtualenv)
    drop_seconds: float = 0.0
    seconds: float = 1.0
    failure: str = ""
    laps: list[LoaderLap] = field(default_factory=list)
    cached_shares: list[float] = field(default_factory=list)

    @property
    def peer(self) -> Peer:
        return find_peers()[self.key]

    @property
    def name(self) -> str:
        return self.peer.name

    @property
    def absence(self) -> str:
        """Why it could not be measured, and the system packages that it needs."""
        if not self.failure or not self.peer.system:
            return self.failure
        return f"{self.failure} (needs the system packages {', '.join(self.peer.system)})"

    @property
    def files(self) -> list[Path]:
        """The images in the peer's own format."""
        stored = self.task.folder / self.peer.stored
        return [path for path in stored.rglob("*") if path.is_file()]

    def store(self) -> None:
        """Let the peer write its own format, unless it exists."""
        if not (self.task.folder / self.peer.stored).exists() and not self.failure:
            print_line(f"{self.name} stores the images.", err=True)
            self._run("write")

    def check(self) -> None:
        """Check one epoch."""
        self._run("check")

    def warm(self, stack: ExitStack) -> Callable[[], float]:
        """Start a process, which `stack` ends, and return the function that measures a lap in
        images/s. Between laps the process is suspended."""
        if self.failure:
            return lambda: math.nan
        page_cache.fill(self.files)
        worker = stack.enter_context(start_loader(self.key, self.task, self.virtualenv))
        return lambda: self._lap(worker, max_images=math.inf)

    def cold(self) -> float:
        """images/s of a lap in the first epoch of a new process, with files outside of the page
        cache. No other loader may run: files that it maps would stay there."""
        if self.failure:
            return math.nan
        page_cache.drop(self.files)
        with start_loader(self.key, self.task, self.virtualenv) as worker:
            return self._lap(worker, max_images=self.task.samples)

    def figures(self) -> dict[str, float | None]:
        """Medians over the laps."""
        medians = {
            "images_per_cpu_second": [lap.images / lap.cpu_seconds for lap in self.laps],
            "cores_busy": [lap.cpu_seconds / lap.seconds for lap in self.laps],
            "cached_share_before": self.cached_shares,
            "read_bytes_per_image": [lap.read_bytes / lap.images for lap in self.laps],
        }
        return {
            name: statistics.median(values) if values else None for name, values in medians.items()
        }

    def _lap(self, worker: WorkerProcess, *, max_images: float) -> float:
        if (share := page_cache.resident_share(self.files)) is not None:
            self.cached_shares.append(share)
        length = {"drop_seconds": self.drop_seconds, "seconds": self.seconds}
        if self.failure or not (
            answer := self._request(worker, mode="lap", max_images=max_images, **length)
        ):
            return math.nan
        self.laps.append(LoaderLap(**answer))
        return self.laps[-1].images / self.laps[-1].seconds

    def _run(self, mode: str) -> None:
        if not self.failure:
            with start_loader(self.key, self.task, self.virtualenv) as worker:
                self._request(worker, mode=mode)

    def _request(self, worker: WorkerProcess, **request: Any) -> dict[str, Any]:
        """The answer; {} if the loader fails."""
        try:
            return worker.request(request)
        except WorkerFailedError as error:
            self.failure = str(error)
            return {}


@contextmanager
def start_loader(key: str, task: Task, virtualenv: Virtualenv) -> Iterator[WorkerProcess]:
    """Start the process of a loader (``benchmarks.peers.serve``)."""
    fields = asdict(task) | {"folder": str(task.folder)}
    command = virtualenv.command("benchmarks.peers.serve", key, json.dumps(fields))
    with (
        tempfile.TemporaryDirectory() as scratch,
        start_worker(command, virtualenv.variables(Path(scratch))) as worker,
    ):
        yield worker
