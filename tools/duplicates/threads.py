"""Calls in threads, for reading and hashing, which Python does side by side."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

THREADS = 4
# Calls that are pending at once.
_BATCH = 1024

Result = TypeVar("Result")


def in_threads(work: Callable[[int], Result], numbers: Iterable[int]) -> Iterator[Result]:
    """Yield ``work(number)`` for each number, in order."""
    with ThreadPoolExecutor(THREADS) as threads:
        remaining = iter(numbers)
        while batch := list(islice(remaining, _BATCH)):
            yield from threads.map(work, batch)
