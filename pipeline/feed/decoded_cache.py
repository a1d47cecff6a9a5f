"""A cache of decoded images in memory, so that each image is decoded once."""

import logging
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.dlpack import from_dlpack

from pipeline.arrays import Integers
from pipeline.limits.memory import memory_for_cache
from pipeline.storage.cache_eviction import GIB
from pipeline.storage.dataset import SplitIndex

_LOG = logging.getLogger(__name__)


class DecodedCache:
    """Decoded images of some samples, uint8 (height, width, 3) each, in one block of memory.

    Every rank has its own, because a global shuffle can send any sample to any rank. The operating
    system allocates host memory page by page as images are stored.

    Args:
        samples: int64 (N,), rows of the index that have space in the cache.
        device: a GPU, or the CPU for host memory.

    Raises:
        MemoryError, torch.OutOfMemoryError: the memory can't be allocated.
    """

    def __init__(self, index: SplitIndex, samples: Integers, device: torch.device) -> None:
        sizes = np.zeros(len(index.samples), np.int64)
        sizes[samples] = image_bytes(index, samples)
        ends = np.cumsum(sizes)
        self._rows, self._starts, self._has_space = index.samples, ends - sizes, sizes > 0
        self._stored = np.zeros(len(sizes), bool)
        self._device, self._bytes = device, int(ends[-1])
        self._pixels = self._allocate()

    @property
    def location(self) -> str:
        """ "device" in a GPU's memory, "host" in the machine's."""
        return "device" if self._device.type == "cuda" else "host"

    def has(self, samples: Integers) -> NDArray[np.bool_]:
        """bool (B,): which of `samples` are in the cache."""
        return self._stored[samples]

    def image(self, sample: int) -> Any:
        """A view of the image, uint8 (height, width, 3): numpy on the host, torch on a GPU."""
        height, width = self._size(sample)
        start = int(self._starts[sample])
        return self._pixels[start : start + height * width * 3].reshape(height, width, 3)

    def problem(self, sample: int, image: Any) -> str | None:
        """Why DALI's tensor `image` can't be `sample`'s, or None."""
        height, width = self._size(sample)
        if tuple(image.shape()) == (height, width, 3):
            return None
        decoded = "x".join(map(str, image.shape()[1::-1]))
        return f"it is {decoded} px, its index says {width}x{height}"

    def store(self, sample: int, image: Any) -> bool:
        """Copy DALI's tensor `image` into the cache; False if `sample` has no space in it."""
        if self._pixels is None:
            self._pixels = self._allocate()
        if self._has_space[sample]:
            self.image(sample)[...] = self._array(image)
            self._stored[sample] = True
        return bool(self._has_space[sample])

    def copy(self, image: Any) -> Any:
        """A copy of DALI's tensor `image`, of the type that ``image`` returns."""
        array = self._array(image)
        return array.clone() if self.location == "device" else array.copy()

    def synchronize(self) -> None:
        """Wait until the GPU has copied the stored images."""
        if self.location == "device":
            torch.cuda.current_stream(self._device).synchronize()

    def clear(self) -> None:
        """Free the memory; a later ``store`` allocates it again."""
        self._stored[:] = False
        self._pixels = None

    def _allocate(self) -> Any:
        if self.location == "device":
            return torch.empty(self._bytes, dtype=torch.uint8, device=self._device)
        return np.empty(self._bytes, np.uint8)

    def _size(self, sample: int) -> tuple[int, int]:
        row = self._rows[sample]
        return int(row["height"]), int(row["width"])

    def _array(self, image: Any) -> Any:
        return from_dlpack(image) if self.location == "device" else np.asarray(image)


def image_bytes(index: SplitIndex, samples: Integers) -> Integers:
    """Size of each of `samples` as decoded RGB, in bytes, int64 (B,)."""
    rows = index.samples
    sizes: Integers = rows["height"][samples].astype(np.int64) * rows["width"][samples] * 3
    return sizes


def open_decoded_cache(
    mode: str, index: SplitIndex, samples: Integers, device: torch.device, *, rank: int
) -> DecodedCache | None:
    """A cache for `samples` as --cache `mode` asks, None if that is "none" or there is too little
    memory; rank 0 logs the decision."""
    if mode == "none" or not len(samples):
        return None
    if mode == "device" and device.type != "cuda":
        _warn(rank, "--cache device needs a GPU, and this machine has none: images aren't cached.")
        return None
    cache_device = device if mode == "device" else torch.device("cpu")
    needed = int(image_bytes(index, samples).sum())
    limit = memory_for_cache(mode, cache_device)
    images = f"{index.name}: {len(samples):,} decoded images need {needed / GIB:.2f} GiB"
    budget = f"{limit / GIB:.2f} GiB that --cache {mode} may use per rank"
    if needed > limit:
        _warn(rank, f"{images}, more than the {budget}: images aren't cached.")
        return None
    try:
        cache = DecodedCache(index, samples, cache_device)
    except (MemoryError, torch.OutOfMemoryError):
        _warn(rank, f"{images}, which can't be allocated: images aren't cached.")
        return None
    _warn(rank, f"{images}, within the {budget}: each image is decoded once.")
    return cache


def _warn(rank: int, message: str) -> None:
    if rank == 0:
        _LOG.warning(message)
