"""A source of encoded images in memory, whose reads cost nothing."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.arrays import Bytes
from pipeline.batches import BatchContext
from pipeline.feed.fetch import Fetched, Fetcher
from pipeline.watchdog import StallWatchdog

Integers = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class InMemorySource(BatchContext):
    """Reads each sample once and then keeps it in `cache`: sample -> image, and mask if any."""

    cache: dict[int, tuple[Bytes, ...]] = field(default_factory=dict)

    def fetcher(self, watchdog: StallWatchdog) -> Fetcher:
        return InMemoryFetcher(super().fetcher(watchdog), self.cache, masks=self.graph.masks)


class InMemoryFetcher:
    """Samples from `cache`; `fetcher` reads those that it lacks."""

    def __init__(
        self, fetcher: Fetcher, cache: dict[int, tuple[Bytes, ...]], *, masks: bool
    ) -> None:
        self._fetcher, self._cache, self._masks = fetcher, cache, masks
        self.close = fetcher.close

    def advise(self, samples: Integers) -> Integers:
        return samples[:0]

    def wants_more_advice(self) -> bool:
        return False

    def release(self, samples: Integers) -> None:
        pass

    def fetch(self, samples: Integers, spare: Bytes | None = None) -> Fetched:
        requested = samples.tolist()
        missing = [index for index, sample in enumerate(requested) if sample not in self._cache]
        bad = {}
        if missing:
            fetched = self._fetcher.fetch(samples[missing])
            bad = {missing[index]: reason for index, reason in fetched.bad.items()}
            components = (fetched.images, fetched.masks) if self._masks else (fetched.images,)
            for index, *encoded in zip(missing, *components, strict=True):
                if index not in bad:
                    self._cache[requested[index]] = tuple(part.copy() for part in encoded)
        stored = [self._cache.get(sample) for sample in requested]
        images, *masks = (
            [sample and sample[component] for sample in stored]
            for component in range(1 + self._masks)
        )
        return Fetched(images, bad, masks=masks[0] if masks else [])
