"""Threads that run submitted functions and never keep the process from exiting."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, InvalidStateError
from contextlib import suppress
from functools import partial
from typing import Any, NoReturn, TypeVar

Result = TypeVar("Result")
Task = tuple["Future[Any]", Callable[[], Any]]


class DaemonThread:
    """Runs submitted functions in order; several threads start them in order.

    The standard library joins its executors' threads when the process exits, which never returns
    if a file read hangs. These threads are daemons.

    Args:
        at_start: what each thread does first; if it fails, all functions fail with its error.
    """

    def __init__(
        self, name: str, threads: int = 1, *, at_start: Callable[[], None] | None = None
    ) -> None:
        self._at_start = at_start
        self._tasks: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._unfinished: set[Future[Any]] = set()
        self._threads = [
            threading.Thread(target=self._work, name=name, daemon=True) for _ in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, function: Callable[[], Result]) -> "Future[Result]":
        """Queue `function`; the future has its result or its exception."""
        future: Future[Result] = Future()
        self._unfinished.add(future)
        future.add_done_callback(self._unfinished.discard)
        self._tasks.put((future, function))
        return future

    def close(self, *, finally_do: Callable[[], None] | None = None, wait: bool = True) -> None:
        """Cancel the functions that have not started, call `finally_do` in a thread, end the
        threads.

        Without `wait` the threads are not joined, and pending futures raise ``CancelledError``.
        """
        for future in list(self._unfinished):
            if not future.cancel() and not wait:
                with suppress(InvalidStateError):
                    future.set_exception(CancelledError())
        if finally_do is not None:
            self._tasks.put((Future(), finally_do))
        for _ in self._threads:
            self._tasks.put(None)
        if wait:
            for thread in self._threads:
                thread.join()

    def _work(self) -> None:
        failure = None if self._at_start is None else _failure_of(self._at_start)
        while (task := self._tasks.get()) is not None:
            future, function = task
            _run(future, function if failure is None else partial(_raise, failure))
            del future, function
            del task  # else the last result stays in memory until the next task


def _failure_of(function: Callable[[], None]) -> Exception | None:
    try:
        function()
    except Exception as error:
        return error
    return None


def _raise(error: Exception) -> NoReturn:
    raise error


def _run(future: "Future[Any]", function: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    with suppress(InvalidStateError):  # ``close`` has set its exception
        try:
            result = function()
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(result)
