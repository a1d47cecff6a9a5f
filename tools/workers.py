"""Worker processes that may die: ordered results, bounded memory, and who killed them."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import forkserver
from typing import Self, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


def start_fork_server(modules: Sequence[str]) -> None:
    """Start the process that worker processes are copies of, and let it load `modules` meanwhile;
    without this it starts with the first worker."""
    forkserver.set_forkserver_preload(list(modules))
    # Ctrl-C reaches it too, and would be a traceback while it still loads; this it inherits.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    forkserver.ensure_running()
    signal.signal(signal.SIGINT, before)


class WorkerDiedError(Exception):
    """A worker process ended in the middle of a task."""


class Workers:
    """`count` processes. Use as a context; they end with it.

    They come from the fork server, which holds no threads or locks of this process; `prepare` runs
    at the start of each.
    """

    def __init__(self, count: int, *, prepare: Callable[[], None]) -> None:
        self.count = count
        self._prepare = prepare
        self._context = multiprocessing.get_context("forkserver")
        self._pool = self._start(count)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def ordered(
        self,
        work: Callable[[Task], Result],
        tasks: Iterable[Task],
        *,
        rescue: Callable[[Task], Result],
    ) -> Iterator[Result]:
        """``work(task)`` of each task, in order; at most 2 `count` + 1 are under way or waiting.

        `rescue` gives the result of a task whose processes died: the tasks under way then, of which
        one is the cause, each pass through it.
        """
        waiting: deque[tuple[Task, Future[Result]]] = deque()
        for task in tasks:
            waiting.append((task, self._submit(work, task)))
            if len(waiting) > 2 * self.count:
                yield self._first(waiting, work, rescue)
        while waiting:
            yield self._first(waiting, work, rescue)

    def alone(self, work: Callable[[Task], Result], task: Task) -> Result:
        """``work(task)`` in a fresh process; raises ``WorkerDiedError`` if that dies."""
        with self._start(1) as pool:
            try:
                return pool.submit(work, task).result()
            except BrokenProcessPool as error:
                raise WorkerDiedError(str(error)) from error

    def _first(
        self,
        waiting: deque[tuple[Task, Future[Result]]],
        work: Callable[[Task], Result],
        rescue: Callable[[Task], Result],
    ) -> Result:
        task, future = waiting.popleft()
        try:
            return future.result()
        except BrokenProcessPool:
            pass
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._pool = self._start(self.count)
        result = rescue(task)
        for n, (suspect, broken) in enumerate(waiting):
            if broken.done() and broken.exception() is None:
                continue
            rescued: Future[Result] = Future()
            rescued.set_result(rescue(suspect))
            waiting[n] = (suspect, rescued)
        return result

    def _submit(self, work: Callable[[Task], Result], task: Task) -> "Future[Result]":
        try:
            return self._pool.submit(work, task)
        except BrokenProcessPool as error:
            failed: Future[Result] = Future()
            failed.set_exception(error)
            return failed

    def _start(self, count: int) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            count, mp_context=self._context, initializer=_begin, initargs=(self._prepare,)
        )


class time_limit:  # noqa: N801 (used like a function)
    """A context that ends this process if it takes longer, also in the middle of C code."""

    def __init__(self, seconds: int) -> None:
        self._seconds = seconds

    def __enter__(self) -> None:
        signal.alarm(self._seconds)

    def __exit__(self, *error: object) -> None:
        signal.alarm(0)


def _begin(prepare: Callable[[], None]) -> None:
    # Ctrl-C reaches the whole process group; the parent alone decides what ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    prepare()


def _end_with_parent() -> None:
    """A killed parent can't end its workers, which would wait for tasks for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
