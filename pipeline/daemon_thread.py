"""Threads that do one thing after the other, and never keep the process from ending."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, InvalidStateError
from contextlib import suppress
from typing import Any, TypeVar

Result = TypeVar("Result")
Job = tuple["Future[Any]", Callable[[], Any]]


class DaemonThread:
    """Does what is submitted, in order; with several threads, begins it in order.

    An executor of the standard library is joined when the process ends, which hangs for ever where
    a file does. These threads are daemons.
    """

    def __init__(self, name: str, threads: int = 1) -> None:
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._unfinished: set[Future[Any]] = set()
        self._threads = [
            threading.Thread(target=self._work, name=name, daemon=True) for _ in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, function: Callable[[], Result]) -> "Future[Result]":
        future: Future[Result] = Future()
        self._unfinished.add(future)
        future.add_done_callback(self._unfinished.discard)
        self._jobs.put((future, function))
        return future

    def close(self, *, finally_do: Callable[[], None] | None = None, wait: bool = True) -> None:
        """Drop what hasn't begun, then let a thread call `finally_do`, and end.

        Without `wait` nothing is waited for, and who waits for a result gets ``CancelledError``.
        """
        for future in list(self._unfinished):
            if not future.cancel() and not wait:
                with suppress(InvalidStateError):
                    future.set_exception(CancelledError())
        if finally_do is not None:
            self._jobs.put((Future(), finally_do))
        for _ in self._threads:
            self._jobs.put(None)
        if wait:
            for thread in self._threads:
                thread.join()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            _do(*job)
            del job  # or the last result would be kept until the next job


def _do(future: "Future[Any]", function: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    with suppress(InvalidStateError):  # nobody waits any longer
        try:
            result = function()
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(result)
