"""Made-up images for test_shards.py, in a module of its own, since every worker imports it."""

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tools.images.codec import Pixels
from tools.images.image_source import Images


@dataclass(frozen=True)
class Squares:
    """Made-up images: source n is a square of shade n; those in `deadly` kill their process, those
    in `bad` are unsound."""

    numbers: NDArray[np.int64]
    deadly: frozenset[int] = frozenset()
    bad: frozenset[int] = frozenset()

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def mean_bytes(self) -> int:
        return 2**20 // 8

    def take(self, numbers: NDArray[np.int64]) -> Images:
        return Squares(self.numbers[numbers], self.deadly, self.bad)

    def load(self, max_bytes: int) -> Iterator[tuple[int, Pixels | str]]:
        for number in self.numbers.tolist():
            if number in self.deadly:
                os.kill(os.getpid(), signal.SIGSEGV)
            side = 8 + number % 40
            pixels = np.full((side, side), number % 256, np.uint8)
            yield self.mean_bytes, "made bad" if number in self.bad else pixels
