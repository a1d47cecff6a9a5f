"""Fetch samples for the DALI graph: encoded images, encoded images and masks, or decoded images.

All fetchers have the same methods; none is safe for more than one thread at a time.
"""

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from pipeline.arrays import Bytes, Integers
from pipeline.dali.decode_for_cache import FullImageDecoder
from pipeline.dali.masks import mask_problem, void_mask
from pipeline.feed.decoded_cache import DecodedCache
from pipeline.storage.dataset import SplitIndex
from pipeline.storage.reader import DAMAGED, ShardReader
from pipeline.watchdog import StallWatchdog


@dataclass(frozen=True)
class Fetched:
    """The graph's inputs for B samples.

    Attributes:
        images: encoded bytes or decoded pixels of each sample.
        bad: reason by index of each sample that can't be used; its image may be anything.
        buffer: memory that holds the images; ``fetch`` may reuse it when they are no longer read.
        masks: encoded mask of each sample, empty without masks.
    """

    images: list[Any]
    bad: dict[int, str]
    buffer: Bytes | None = None
    masks: list[Any] = field(default_factory=list)


class Fetcher(Protocol):
    def advise(self, samples: Integers) -> Integers:
        """Announce that `samples` will be fetched soon; returns those to ``release`` then."""

    def wants_more_advice(self) -> bool:
        """Whether announcing samples further ahead helps."""

    def release(self, samples: Integers) -> None:
        """Withdraw what ``advise`` announced: the samples have been fetched."""

    def fetch(self, samples: Integers, spare: Bytes | None = None) -> Fetched:
        """Fetch `samples`, into the buffer `spare` if it is large enough."""

    def close(self) -> None: ...


class EncodedFetcher:
    """Fetches images as they are stored; the graph decodes their crops."""

    def __init__(self, reader: ShardReader) -> None:
        self._reader = reader
        self.release, self.wants_more_advice = reader.release, reader.wants_more_advice
        self.close = reader.close

    def advise(self, samples: Integers) -> Integers:
        self._reader.advise(samples)
        return samples

    def fetch(self, samples: Integers, spare: Bytes | None = None) -> Fetched:
        views, damaged = self._reader.read(samples, spare)
        buffer = views[0].base
        assert isinstance(buffer, np.ndarray)
        return Fetched(views, dict.fromkeys(damaged, DAMAGED), buffer)


class MaskedFetcher(EncodedFetcher):
    """Fetches images and masks of `index` as they are stored; `reader` reads both. The mask of a
    sample without one is VOID."""

    def __init__(self, reader: ShardReader, index: SplitIndex) -> None:
        super().__init__(reader)
        self._rows = index.samples

    def fetch(self, samples: Integers, spare: Bytes | None = None) -> Fetched:
        both, count = super().fetch(samples, spare), len(samples)
        masks = both.images[count:]
        bad = {i: reason for i, reason in both.bad.items() if i < count}
        rows = self._rows[samples]
        sizes = zip(rows["height"].tolist(), rows["width"].tolist(), strict=True)
        for i, (mask, size) in enumerate(zip(masks, sizes, strict=True)):
            if not len(mask):
                masks[i] = void_mask(size)
                continue
            damage = both.bad.get(count + i)
            if problem := (damage and f"of its mask: {damage}") or mask_problem(mask, size):
                bad.setdefault(i, problem)
        return Fetched(both.images[:count], bad, both.buffer, masks)


class CachedFetcher(EncodedFetcher):
    """Fetches decoded images: each is decoded in full once, then taken from `cache`.

    A sample is bad if any part of it can't be decoded, even outside the crop of this visit.
    """

    def __init__(
        self,
        reader: ShardReader,
        cache: DecodedCache,
        decoder: FullImageDecoder,
        watchdog: StallWatchdog,
    ) -> None:
        super().__init__(reader)
        self._cache, self._decoder, self._watchdog = cache, decoder, watchdog

    def advise(self, samples: Integers) -> Integers:
        missing = samples[~self._cache.has(samples)]
        return super().advise(missing) if len(missing) else missing

    def fetch(self, samples: Integers, spare: Bytes | None = None) -> Fetched:
        missing = np.flatnonzero(~self._cache.has(samples)).tolist()
        uncached, bad = self._decode(samples, missing, spare) if missing else ({}, {})
        images = [
            uncached.get(i) if i in bad or i in uncached else self._cache.image(sample)
            for i, sample in enumerate(samples.tolist())
        ]
        return Fetched(images, bad)

    def _decode(
        self, samples: Integers, indices: list[int], spare: Bytes | None
    ) -> tuple[dict[int, Any], dict[int, str]]:
        """Decode the images of `samples` at `indices` and cache them. Returns, by index, the images
        that have no space in the cache, and the reasons of bad samples."""
        views, damaged = self._reader.read(samples[indices], spare)
        bad = {indices[number]: DAMAGED for number in damaged}
        encoded = {i: view for i, view in zip(indices, views, strict=True) if i not in bad}
        self._watchdog.heartbeat(f"DALI decodes {len(encoded)} full images")
        decoded, undecodable = self._decoder(encoded)
        bad |= undecodable
        uncached = {}
        for i, image in decoded.items():
            sample = int(samples[i])
            if problem := self._cache.problem(sample, image):
                bad[i] = problem
            elif not self._cache.store(sample, image):
                uncached[i] = self._cache.copy(image)
        self._cache.synchronize()
        return uncached, bad
