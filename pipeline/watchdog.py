"""What a loader is busy with, and the end of one that is stuck."""

import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TypeVar

from pipeline.errors import DataError

Result = TypeVar("Result")


class StallWatchdog:
    """Its loader's threads tell it what they do; who waits for a batch waits here.

    A batch is missed only by a consumer that asks for it, so a slow consumer is no stall. An
    operating system can't be made to give up a read that hangs: the thread stays behind, the
    consumer gets a ``DataError``.

    Attributes:
        feeding: what the feed does.
        decoding: what DALI does, None while it waits for the feed.
        stalled: whether the timeout has passed, so that no thread may be waited for.
    """

    def __init__(self, timeout_seconds: float, rank: int) -> None:
        self._timeout_seconds, self._rank = timeout_seconds, rank
        self._moved = time.monotonic()
        self.feeding = "starting"
        self.decoding: str | None = None
        self.stalled = False

    def move(self, feeding: str | None = None) -> None:
        """Something moved; the feed now does `feeding`, or goes on with what it did."""
        if feeding is not None:
            self.feeding = feeding
        self._moved = time.monotonic()

    @contextmanager
    def waiting_for_feed(self) -> Iterator[None]:
        """DALI's thread waits for the feed."""
        before, self.decoding = self.decoding, None
        try:
            yield
        finally:
            self.decoding = before
            self.move()

    def wait(self, future: "Future[Result]") -> Result:
        """The result of `future`. Raises ``DataError`` that names the rank and what it was at, if
        nothing has moved for the timeout."""
        if not self._timeout_seconds:
            return future.result()
        self.move()
        while True:
            left = self._moved + self._timeout_seconds - time.monotonic()
            try:
                return future.result(max(left, 0))
            except TimeoutError:
                if future.done():
                    return future.result()
                if time.monotonic() - self._moved >= self._timeout_seconds:
                    break
        self.stalled = True
        raise DataError(
            f"Rank {self._rank} is stuck: nothing has moved for {self._timeout_seconds:g} s "
            f"(--stall-timeout) while {self.decoding or self.feeding}. If that is only slow, give "
            f"a longer --stall-timeout; 0 waits for ever."
        )
