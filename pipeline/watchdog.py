"""Stop a loader or a fetch that is stuck, and say what it was doing."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

from pipeline.errors import DataError

Result = TypeVar("Result")

# The default of --stall-timeout, and the limit of fetches that no loader waits for.
STALL_SECONDS = 300.0
# A server must deliver this much of a file, or the rest of it, within one timeout. With the default
# that is 3.5 KiB/s, at which a shard of 256 MiB takes 21 hours: slower is of no use to a training.
LEAST_BYTES = 2**20


class Delivery:
    """Counts the bytes of a fetch: LEAST_BYTES are progress, fewer are not."""

    def __init__(self) -> None:
        self._counted: int | None = None

    def progressed(self, size: int) -> bool:
        """Whether the fetch, which has `size` bytes now, has got LEAST_BYTES since it last
        progressed or began."""
        if self._counted is None or size < self._counted:
            self._counted = size  # it begins, or begins again
        if size - self._counted < LEAST_BYTES:
            return False
        self._counted = size
        return True


def limited_wait(url: str) -> Callable[[int], None]:
    """A function to call with the bytes that a fetch of `url` has, again and again: it raises
    ``DataError`` if they don't progress for STALL_SECONDS. For a fetch that no loader waits for."""
    delivery, deadline = Delivery(), time.monotonic() + STALL_SECONDS

    def poll(size: int) -> None:
        nonlocal deadline
        if delivery.progressed(size):
            deadline = time.monotonic() + STALL_SECONDS
        elif time.monotonic() > deadline:
            raise DataError(
                f"{url} is stuck: less than {LEAST_BYTES:,} bytes of it came in "
                f"{STALL_SECONDS:g} s. Try again when the server or the network is faster."
            )

    return poll


def is_waiting(frame: FrameType | None) -> bool:
    """Whether the code of `frame` was called by ``StallWatchdog.wait``."""
    while frame is not None and frame.f_code is not StallWatchdog.wait.__code__:
        frame = frame.f_back
    return frame is not None


class StallWatchdog:
    """A loader's threads report their progress here; its consumer waits for batches here.

    The timeout runs only while the consumer waits, so a slow consumer is no stall. A read that
    hangs can't be canceled: its thread stays behind, and the consumer gets a ``DataError``.

    Attributes:
        feeding: what the feed is doing.
        decoding: what DALI is doing, None while it waits for the feed.
        stalled: whether the timeout has passed; threads that may be stuck are not joined then.
    """

    def __init__(self, timeout_seconds: float, rank: int) -> None:
        self._timeout_seconds, self._rank = timeout_seconds, rank
        self._deadline = 0.0
        self.feeding = "starting"
        self.decoding: str | None = None
        self.stalled = False

    def heartbeat(self, feeding: str | None = None) -> None:
        """Report progress; `feeding` is what the feed does now, by default the same as before."""
        if feeding is not None:
            self.feeding = feeding
        self._deadline = time.monotonic() + self._timeout_seconds

    @contextmanager
    def waiting_for_feed(self) -> Iterator[None]:
        """Marks the time that DALI's thread waits for the feed."""
        before, self.decoding = self.decoding, None
        try:
            yield
        finally:
            self.decoding = before
            self.heartbeat()

    def wait(self, future: "Future[Result]") -> Result:
        """The result of `future`. Raises ``DataError`` with the rank and what it was doing if no
        heartbeat came for `timeout_seconds`; 0 waits without a limit."""
        try:
            return self._wait(future)
        except KeyboardInterrupt:
            # What it waited for may hang.
            self.stalled = True
            raise

    def _wait(self, future: "Future[Result]") -> Result:
        if not self._timeout_seconds:
            return future.result()
        self.heartbeat()
        while (remaining := self._deadline - time.monotonic()) > 0:
            try:
                return future.result(remaining)
            except TimeoutError:
                if future.done():  # just now, or its function raised TimeoutError
                    return future.result()
        self.stalled = True
        raise DataError(
            f"Rank {self._rank} is stuck: no progress for {self._timeout_seconds:g} s "
            f"(--stall-timeout) while {self.decoding or self.feeding}. If the disk or network is "
            f"only slow, raise --stall-timeout; 0 disables it."
        )
