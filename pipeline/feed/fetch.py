"""Samples -> what the graph takes of them: encoded images, with their masks, or decoded ones that
are kept.

All supplies have the same methods; none is for more than one thread at a time.
"""

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.dali.decode_for_cache import FullImageDecoder
from pipeline.dali.masks import mask_problem
from pipeline.feed.decoded_cache import DecodedCache
from pipeline.storage.dataset import SplitIndex
from pipeline.storage.reader import DAMAGED, Bytes, ShardReader
from pipeline.watchdog import StallWatchdog

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Fetched:
    """`images`, and `masks` where there are some, are what the graph takes of each sample, except
    at the places in `bad`, which says why those can't be used. `buffer` may be handed back when
    nobody reads them any more."""

    images: list[Any]
    bad: dict[int, str]
    buffer: Bytes | None = None
    masks: list[Any] = field(default_factory=list)


class Fetcher(Protocol):
    def advise(self, samples: Integers) -> Integers:
        """`samples` will be taken soon; those among them that are to be told to ``forget`` then."""

    def wants_more_advice(self) -> bool:
        """Whether it is of use to advise further ahead."""

    def forget(self, samples: Integers) -> None:
        """What was advised has been taken."""

    def take(self, samples: Integers, spare: Bytes | None = None) -> Fetched:
        """The images of `samples`, put into `spare` where a buffer is of use."""

    def close(self) -> None: ...


class EncodedFetcher:
    """Images as they are stored; the graph decodes their windows."""

    def __init__(self, reader: ShardReader) -> None:
        self._reader = reader
        self.forget, self.wants_more_advice = reader.forget, reader.wants_more_advice
        self.close = reader.close

    def advise(self, samples: Integers) -> Integers:
        self._reader.advise(samples)
        return samples

    def take(self, samples: Integers, spare: Bytes | None = None) -> Fetched:
        views, damaged = self._reader.read(samples, spare)
        buffer = views[0].base
        assert isinstance(buffer, np.ndarray)
        return Fetched(views, dict.fromkeys(damaged, DAMAGED), buffer)


class MaskedSupply(EncodedFetcher):
    """Images and masks as they are stored, those of `index`; the reader gives both."""

    def __init__(self, reader: ShardReader, index: SplitIndex) -> None:
        super().__init__(reader)
        self._rows = index.samples

    def take(self, samples: Integers, spare: Bytes | None = None) -> Fetched:
        both, count = super().take(samples, spare), len(samples)
        masks = both.images[count:]
        bad = {place: why for place, why in both.bad.items() if place < count}
        rows = self._rows[samples]
        sizes = zip(rows["height"].tolist(), rows["width"].tolist(), strict=True)
        for place, (mask, size) in enumerate(zip(masks, sizes, strict=True)):
            damaged = both.bad.get(count + place)
            if problem := (damaged and f"of its mask: {damaged}") or mask_problem(mask, size):
                bad.setdefault(place, problem)
        return Fetched(both.images[:count], bad, both.buffer, masks)


class CachedFetcher:
    """Images decoded whole when they are first taken, and kept where `kept` has a place for them.

    A sample is bad here if any part of it can't be decoded, not only this visit's window.
    """

    def __init__(
        self,
        reader: ShardReader,
        kept: DecodedCache,
        decoder: FullImageDecoder,
        watch: StallWatchdog,
    ) -> None:
        self._reader, self._kept, self._decoder, self._watch = reader, kept, decoder, watch
        self.forget, self.wants_more_advice = reader.forget, reader.wants_more_advice
        self.close = reader.close

    def advise(self, samples: Integers) -> Integers:
        missing = samples[~self._kept.has(samples)]
        if len(missing):
            self._reader.advise(missing)
        return missing

    def take(self, samples: Integers, spare: Bytes | None = None) -> Fetched:
        places = np.flatnonzero(~self._kept.has(samples)).tolist()
        fresh, bad = self._decode(samples, places, spare) if places else ({}, {})
        images = [
            fresh.get(place) if place in bad or place in fresh else self._kept.image(sample)
            for place, sample in enumerate(samples.tolist())
        ]
        return Fetched(images, bad)

    def _decode(
        self, samples: Integers, places: list[int], spare: Bytes | None
    ) -> tuple[dict[int, Any], dict[int, str]]:
        """Decode the images at `places` and keep them; those that have no place to be kept at, and
        those that are bad, by their places in `samples`."""
        views, damaged = self._reader.read(samples[places], spare)
        bad = {places[number]: DAMAGED for number in damaged}
        encoded = {
            place: view for place, view in zip(places, views, strict=True) if place not in bad
        }
        self._watch.move(f"DALI decodes {len(encoded)} whole images")
        decoded, undecodable = self._decoder(encoded)
        bad |= undecodable
        fresh = {}
        for place, image in decoded.items():
            sample = int(samples[place])
            if problem := self._kept.problem(sample, image):
                bad[place] = problem
            elif not self._kept.keep(sample, image):
                fresh[place] = self._kept.copy(image)
        self._kept.settle()
        return fresh, bad
