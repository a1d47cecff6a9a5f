"""Loaders that take part in a race, and their laps with the page cache warm or cold."""

import math
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from benchmarks.measuring import page_cache
from benchmarks.measuring.virtualenvs import PeerEnvironment
from benchmarks.measuring.worker_process import LoaderFailedError, WorkerProcess
from benchmarks.peers.loader_process import LoaderLap, racer, run_alone, timed_lap
from benchmarks.peers.loaders.contract import PEERS, Peer, Task


@dataclass(frozen=True, kw_only=True)
class Length:
    """Of a lap, and of what passes before it counts."""

    drop_seconds: float
    seconds: float


@dataclass(kw_only=True)
class PeerRun:
    """A peer on one format.

    Attributes:
        failure: why it could not be measured; the others go on.
        cached_shares: how much of its images lay in the page cache before each lap.
    """

    key: str
    task: Task
    environment: PeerEnvironment | None
    failure: str = ""
    laps: list[LoaderLap] = field(default_factory=list)
    cached_shares: list[float] = field(default_factory=list)

    @property
    def peer(self) -> Peer:
        return PEERS[self.key]

    @property
    def absence(self) -> str:
        """Why it could not be measured, and what of the system it may lack."""
        if not self.failure or not self.peer.system:
            return self.failure
        return f"{self.failure} (needs {', '.join(self.peer.system)} from the system)"

    @property
    def stored(self) -> Path:
        """The images as it reads them."""
        return self.task.folder / self.peer.stored

    @property
    def files(self) -> list[Path]:
        return [path for path in self.stored.rglob("*") if path.is_file()]

    def store(self) -> None:
        """Let it write its own format, where that isn't there yet."""
        if not self.stored.exists() and not self.failure:
            click.echo(f"{self.peer.name} stores the images.", err=True)
            self._attempt(lambda: run_alone("write", self.key, self.task, self.environment))

    def check(self) -> None:
        """One epoch, looked at."""
        self._attempt(lambda: run_alone("check", self.key, self.task, self.environment))

    def warm(self, stack: ExitStack, length: Length) -> Callable[[], float]:
        """Laps of a process that stands still between them, until `stack` ends it; their rates."""
        if self.failure:
            return lambda: math.nan
        page_cache.fill(self.files)
        running = stack.enter_context(racer(self.key, self.task, self.environment))
        return lambda: self._lap(running, length, most_images=math.inf)

    def cold(self, length: Length) -> float:
        """The rate of a lap within the first epoch of a new process, of images that are not in the
        page cache. No other process may run: what it has mapped would stay there."""
        if self.failure:
            return math.nan
        page_cache.drop(self.files)
        with racer(self.key, self.task, self.environment) as running:
            return self._lap(running, length, most_images=self.task.samples)

    def _lap(self, running: WorkerProcess, length: Length, *, most_images: float) -> float:
        if (share := page_cache.resident_share(self.files)) is not None:
            self.cached_shares.append(share)
        lap: LoaderLap | None = self._attempt(
            lambda: timed_lap(
                running,
                drop_seconds=length.drop_seconds,
                seconds=length.seconds,
                most_images=most_images,
            )
        )
        if lap is None:
            return math.nan
        self.laps.append(lap)
        return lap.images / lap.seconds

    def _attempt(self, work: Callable[[], Any]) -> Any:
        if self.failure:
            return None
        try:
            return work()
        except LoaderFailedError as error:
            self.failure = str(error)
            return None
