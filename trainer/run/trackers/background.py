"""Sends the records of a run to a tracker in a thread: training waits for no server."""

import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Protocol

from pipeline.daemon_thread import DaemonThread
from trainer.run.metrics_reader import Record
from trainer.run.trackers.sink import TrackedRun

# Batch systems kill a process that is still there 10 s after the signal that stopped it.
CLOSE_SECONDS = 5.0
# The wait at the end for a tracker that has failed before.
LAST_SECONDS = 1.0
RETRY_SECONDS = 30.0
_REASON_CHARACTERS = 200


class Tracker(Protocol):
    """The client of a tracker. Its methods may block, and raise whatever the client raises.

    Attributes:
        title: its name, for messages.
    """

    title: str

    def connect(self) -> Mapping[str, float]:
        """Begin the tracker's run or continue it, and log the config; the position of the last
        record of each kind that it has. After an error it is called again."""

    def location(self) -> str:
        """Where people see the run, once it is connected."""

    def log(self, record: Record) -> None:
        """Log one record."""

    def finish(self, *, is_complete: bool) -> None:
        """End the tracker's run, and wait until all records are stored."""


class BackgroundSink:
    """Sends records to `tracker`, in order, first those of earlier processes that it lacks.

    An error is told once. The records are kept, and sent with a later one if the tracker works
    again; a run that is resumed sends those that are still missing.
    """

    def __init__(self, tracker: Tracker, run: TrackedRun) -> None:
        self._tracker, self._run = tracker, run
        self._pending: deque[Record] = deque(run.records)
        self._last_positions: Mapping[str, float] | None = None
        self._retry_time = 0.0
        self._is_complete = self._is_closed = self._is_abandoned = self._has_failed = False
        self._telling = threading.Lock()
        self._worker = DaemonThread(tracker.title)
        self._worker.submit(self._send)

    def write(self, record: Record) -> None:
        """Queue `record`."""
        self._worker.submit(partial(self._take, record))

    def close(self) -> None:
        """Wait a few seconds at most for the last records."""
        if self._is_closed:
            return
        self._is_closed = True
        limit = LAST_SECONDS if self._has_failed else CLOSE_SECONDS
        try:
            self._worker.submit(self._finish).result(limit)
        except TimeoutError:
            self._is_abandoned = True
            self._tell(f"no answer within {limit:g} s")
        self._worker.close(wait=False)

    def _take(self, record: Record) -> None:
        self._is_complete |= record["kind"] == "summary"
        self._pending.append(record)
        if time.monotonic() >= self._retry_time:
            self._send()

    def _send(self) -> None:
        try:
            if self._last_positions is None:
                self._last_positions = self._tracker.connect()
                if not self._is_abandoned:
                    self._run.say(f"{self._tracker.title} logs to {self._tracker.location()}.")
            while self._pending:
                record = self._pending[0]
                # A process that was killed after its last checkpoint has logged these already.
                if record["position"] > self._last_positions.get(record["kind"], -1):
                    self._tracker.log(record)
                self._pending.popleft()
        except Exception as error:
            self._retry_time = time.monotonic() + RETRY_SECONDS
            self._tell(describe(error))

    def _finish(self) -> None:
        if self._pending:
            self._send()
        if self._last_positions is None:
            return
        try:
            self._tracker.finish(is_complete=self._is_complete)
        except Exception as error:
            self._tell(describe(error))

    def _tell(self, reason: str) -> None:
        with self._telling:
            if self._has_failed:
                return
            self._has_failed = True
        self._run.say(
            f"{self._tracker.title} does not take the records ({reason}): training goes on, "
            f"metrics.jsonl has them all, and a later attempt, or the same command with --out "
            f"{self._run.directory}, sends those that are missing."
        )


def describe(error: BaseException) -> str:
    """`error` in a few words: what the system said, if that is its cause."""
    causes = [cause.strerror for cause in _chain(error) if isinstance(cause, OSError)]
    said = [text for text in causes if text]
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return (said[-1] if said else lines[0])[:_REASON_CHARACTERS].rstrip(".")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
