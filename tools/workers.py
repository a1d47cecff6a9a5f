"""Worker processes that may die: ordered results in bounded memory, and which task killed one."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import forkserver
from pathlib import Path
from typing import Self, TypeVar

from pipeline.child_process import with_module_variables
from pipeline.console import print_line
from pipeline.limits.cores import available_cores
from pipeline.limits.memory import available_bytes
from pipeline.storage.file_systems import temporary_folder

Task = TypeVar("Task")
Result = TypeVar("Result")


def start_fork_server(modules: Sequence[str]) -> None:
    """Start the fork server, which imports `modules` in the background.

    Workers are forks of it. Without this call it starts with the first worker. Raises ``DataError``
    without a folder for temporary files.
    """
    temporary_folder()
    forkserver.set_forkserver_preload(list(modules))
    # Ctrl-C also reaches the fork server, which inherits this; else it prints a traceback.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    with with_module_variables():
        forkserver.ensure_running()
    signal.signal(signal.SIGINT, before)


# A stopped process is noticed after QUIET_SECONDS without a result.
QUIET_SECONDS, WORKER_TIMEOUT_SECONDS = 60.0, 600.0
# Re-encoding PNGs of 20 megapixels takes 360 MiB of a worker.
WORKER_BYTES = 2**29


def default_workers() -> int:
    """One process per core, and no more than fit in the free memory: the kernel kills processes
    that exceed a container's memory, and their images would be rejected."""
    return max(1, min(available_cores(), available_bytes() // WORKER_BYTES))


class WorkerDiedError(Exception):
    """A worker process died during a task."""


class Workers:
    """A pool of `count` processes, as a context that ends them.

    They are forks of the fork server, which has no threads and locks of this process. Each calls
    `prepare` when it starts.

    Args:
        say: gets a sentence about processes that were stopped (SIGSTOP), after `quiet_seconds`.
        timeout_seconds: after which stopped processes are killed and replaced.
    """

    def __init__(
        self,
        count: int,
        *,
        prepare: Callable[[], None],
        say: Callable[[str], None] = print_line,
        quiet_seconds: float = QUIET_SECONDS,
        timeout_seconds: float = WORKER_TIMEOUT_SECONDS,
    ) -> None:
        temporary_folder()
        self.count = count
        self._prepare = prepare
        self._say, self._quiet_seconds, self._timeout = say, quiet_seconds, timeout_seconds
        self._context = multiprocessing.get_context("forkserver")
        with with_module_variables():
            forkserver.ensure_running()
        self._pool = self._start(count)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error_type: type[BaseException] | None, *error: object) -> None:
        if error_type is not None:
            # Nobody waits for their results, and one may be stopped.
            _kill(self._processes())
        self._pool.shutdown(wait=True, cancel_futures=True)

    def ordered(
        self,
        work: Callable[[Task], Result],
        tasks: Iterable[Task],
        *,
        rescue: Callable[[Task], Result],
    ) -> Iterator[Result]:
        """Yield ``work(task)`` for each task, in order; at most 2 `count` + 1 tasks are pending.

        If a process dies, all unfinished tasks are suspects, and ``rescue(task)`` is the result of
        each.
        """
        waiting: deque[tuple[Task, Future[Result]]] = deque()
        for task in tasks:
            waiting.append((task, self._submit(work, task)))
            if len(waiting) > 2 * self.count:
                yield self._first_result(waiting, rescue)
        while waiting:
            yield self._first_result(waiting, rescue)

    def alone(self, work: Callable[[Task], Result], task: Task) -> Result:
        """Return ``work(task)`` from a new process; raises ``WorkerDiedError`` if it dies."""
        with self._start(1) as pool:
            try:
                return pool.submit(work, task).result()
            except BrokenProcessPool as error:
                raise WorkerDiedError(str(error)) from error

    def _first_result(
        self, waiting: deque[tuple[Task, Future[Result]]], rescue: Callable[[Task], Result]
    ) -> Result:
        task, future = waiting.popleft()
        try:
            return self._wait(future)
        except BrokenProcessPool:
            pass
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._pool = self._start(self.count)
        result = rescue(task)
        for n, (suspect, future) in enumerate(waiting):
            if future.done() and future.exception() is None:
                continue
            rescued: Future[Result] = Future()
            rescued.set_result(rescue(suspect))
            waiting[n] = (suspect, rescued)
        return result

    def _wait(self, future: "Future[Result]") -> Result:
        waited_seconds, has_said = 0.0, False
        step_seconds = min(self._quiet_seconds, self._timeout)
        while True:
            try:
                return future.result(step_seconds)
            except TimeoutError:
                if future.done():  # just now, or the task raised it
                    return future.result()
            waited_seconds += step_seconds
            stopped = list(filter(_is_stopped, self._processes()))
            if not stopped:
                continue
            if waited_seconds >= self._timeout:
                _kill(stopped)
            elif not has_said:
                has_said = True
                pids = " ".join(str(process.pid) for process in stopped)
                self._say(
                    f"Worker processes are stopped: `kill -CONT {pids}` continues them, and after "
                    f"{self._timeout:g} s (--worker-timeout) they are replaced."
                )

    def _processes(self) -> list[multiprocessing.process.BaseProcess]:
        # Public only from Python 3.14 on, as kill_workers().
        return list((getattr(self._pool, "_processes", None) or {}).values())

    def _submit(self, work: Callable[[Task], Result], task: Task) -> "Future[Result]":
        try:
            return self._pool.submit(work, task)
        except BrokenProcessPool as error:
            failed: Future[Result] = Future()
            failed.set_exception(error)
            return failed

    def _start(self, count: int) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            count, mp_context=self._context, initializer=_start_worker, initargs=(self._prepare,)
        )


class time_limit:  # noqa: N801 (used like a function)
    """A context that kills this process after `seconds`, even during a call of C code."""

    def __init__(self, seconds: int) -> None:
        self._seconds = seconds

    def __enter__(self) -> None:
        signal.alarm(self._seconds)

    def __exit__(self, *error: object) -> None:
        signal.alarm(0)


def _is_stopped(process: multiprocessing.process.BaseProcess) -> bool:
    try:
        state = Path(f"/proc/{process.pid}/stat").read_text()
    except OSError:
        return False
    # The name of the program, in parentheses, may contain anything.
    return state.rpartition(")")[2].split()[0] == "T"


def _kill(processes: Sequence[multiprocessing.process.BaseProcess]) -> None:
    for process in processes:
        process.kill()


def _start_worker(prepare: Callable[[], None]) -> None:
    # Ctrl-C reaches the whole process group; the parent ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    prepare()


def _exit_with_parent() -> None:
    """Exit when the parent does; else workers of a killed parent would wait for tasks."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
