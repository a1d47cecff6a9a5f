"""Bad samples, and the samples that replace them.

A sample stays bad once its checksum is wrong or DALI can't decode it. Its replacement is a pure
function of (seed, visit, sample), never of the batch or the rank, so that every rank and every
replay gets the same one.
"""

import threading
from dataclasses import dataclass, field

import numpy as np

from pipeline.arrays import Integers
from pipeline.errors import DataError
from pipeline.plan.rng import random_words
from pipeline.storage.dataset import SplitIndex

# Attempts to find a good sample: where nine samples of ten are bad, one search in 10^5 fails.
ATTEMPTS = 100


@dataclass
class BadSamples:
    """The bad samples found so far, with reasons; more than `limit` of them stop the run.

    Both the thread that reads and the one that decodes add samples.
    """

    index: SplitIndex
    limit: int
    reasons: dict[int, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, sample: int, reason: str) -> None:
        """Add a bad sample; raises ``DataError`` if there are more than `limit`."""
        with self._lock:
            self.reasons.setdefault(sample, reason)
            count = len(self.reasons)
        if count > self.limit == 0:
            raise DataError(
                f"{self.index.describe(sample)} is bad: {reason}. Run tools/check, then copy the "
                f"shards again or make new ones."
            )
        if count > self.limit:
            raise DataError(
                f"{count} bad samples are more than --max-bad allows. The last one: "
                f"{self.index.describe(sample)}, {reason}. Run tools/check, then copy the shards "
                f"again or make new ones."
            )

    def indices(self, samples: Integers) -> list[int]:
        """The indices of known bad samples in `samples` (B,)."""
        if not self.reasons:
            return []
        return [i for i, sample in enumerate(samples.tolist()) if sample in self.reasons]

    def describe(self) -> list[tuple[str, str]]:
        """(sample, reason) of each, as text."""
        return [(self.index.describe(sample), why) for sample, why in sorted(self.reasons.items())]


def substitute(seed: int, visit: int, sample: int, attempt: int, *, samples: int) -> int:
    """The number of the sample to try as the `attempt`-th replacement of `sample`, uniform over
    all `samples`."""
    (word,) = random_words(seed, visit, sample, attempt, samples)
    return int(word % np.uint64(samples))
