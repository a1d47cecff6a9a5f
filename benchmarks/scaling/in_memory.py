"""Encoded images that lie in memory: what the loader gives when reading costs nothing."""

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
    """A source whose samples are read when they are first taken, and stay in `held`: images, with
    their masks where they have some."""

    held: dict[int, tuple[Bytes, ...]] = field(default_factory=dict)

    def fetcher(self, watchdog: StallWatchdog) -> Fetcher:
        return HeldSupply(super().fetcher(watchdog), self.held, masks=self.graph.masks)


class HeldSupply:
    """Samples from `held`; those that it lacks come from `fetcher`."""

    def __init__(
        self, fetcher: Fetcher, held: dict[int, tuple[Bytes, ...]], *, masks: bool
    ) -> None:
        self._fetcher, self._held, self._masks = fetcher, held, masks
        self.close = fetcher.close

    def advise(self, samples: Integers) -> Integers:
        return samples[:0]

    def wants_more_advice(self) -> bool:
        return False

    def release(self, samples: Integers) -> None:
        pass

    def fetch(self, samples: Integers, spare: Bytes | None = None) -> Fetched:
        wanted = samples.tolist()
        missing = [place for place, sample in enumerate(wanted) if sample not in self._held]
        bad = {}
        if missing:
            taken = self._fetcher.fetch(samples[missing])
            bad = {missing[place]: reason for place, reason in taken.bad.items()}
            stored = (taken.images, taken.masks) if self._masks else (taken.images,)
            for place, *own in zip(missing, *stored, strict=True):
                if place not in bad:
                    self._held[wanted[place]] = tuple(each.copy() for each in own)
        found = [self._held.get(sample) for sample in wanted]
        images, *masks = (
            [own and own[component] for own in found] for component in range(1 + self._masks)
        )
        return Fetched(images, bad, masks=masks[0] if masks else [])
