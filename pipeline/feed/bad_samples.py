"""Samples that can't be used, and what takes their place.

A sample is bad for good: its bytes aren't those that were written, or DALI can't decode them. What
takes its place follows from (seed, visit, sample) alone, never from the batch or the rank, so that
every rank and every replay sees the same.
"""

import threading
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.plan.rng import random_words
from pipeline.storage.dataset import SplitIndex

Integers = NDArray[np.int64]

# Attempts at a substitute: where nine samples of ten are bad, one draw in 10^5 finds none.
ATTEMPTS = 100


@dataclass
class BadSamples:
    """The bad samples met so far, with reasons; more than `limit` end the run.

    Filled by the thread that reads and the one that decodes.
    """

    index: SplitIndex
    limit: int
    reasons: dict[int, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, sample: int, reason: str) -> None:
        """Remember a bad sample; raises ``DataError`` where there are too many."""
        with self._lock:
            self.reasons.setdefault(sample, reason)
            count = len(self.reasons)
        if count > self.limit:
            raise DataError(
                f"{count} bad samples are more than --max-bad allows. The last: "
                f"{self.index.describe(sample)}, {reason}. Run tools/check, and copy the shards "
                f"again or make them again."
            )

    def places(self, samples: Integers) -> list[int]:
        """Where in `samples` known bad ones stand."""
        if not self.reasons:
            return []
        return [place for place, sample in enumerate(samples.tolist()) if sample in self.reasons]

    def describe(self) -> list[tuple[str, str]]:
        """(sample, reason) of each, for people."""
        return [(self.index.describe(sample), why) for sample, why in sorted(self.reasons.items())]


def substitute(seed: int, visit: int, sample: int, attempt: int, *, samples: int) -> int:
    """The `attempt`-th sample to try in the place of `sample`: any of them alike."""
    (word,) = random_words(seed, visit, sample, attempt, samples)
    return int(word % np.uint64(samples))
