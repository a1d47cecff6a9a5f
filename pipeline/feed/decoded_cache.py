"""Decoded images of a split that stay in memory, so that each is decoded once."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.dlpack import from_dlpack

from pipeline.log import warn
from pipeline.machine import memory_for
from pipeline.storage.dataset import SplitIndex

Integers = NDArray[np.int64]


class DecodedCache:
    """Places for the images of some samples, uint8 (height, width, 3) each, in one piece of memory.

    Every rank has its own: under a shuffle of all samples each may need any of them. The system
    gives host memory page by page as it is filled.
    """

    def __init__(self, index: SplitIndex, chosen: Integers, device: torch.device) -> None:
        """Raises ``MemoryError`` or ``torch.OutOfMemoryError`` if there is not as much memory."""
        sizes = np.zeros(len(index), np.int64)
        sizes[chosen] = image_bytes(index, chosen)
        ends = np.cumsum(sizes)
        self._rows, self._starts, self._has_place = index.samples, ends - sizes, sizes > 0
        self._kept = np.zeros(len(index), bool)
        self._device, self._bytes = device, int(ends[-1])
        self._pixels = self._memory()

    @property
    def on_device(self) -> bool:
        return self._device.type == "cuda"

    def has(self, samples: Integers) -> NDArray[np.bool_]:
        """bool (B,): which of `samples` are there."""
        return self._kept[samples]

    def image(self, sample: int) -> Any:
        """uint8 (height, width, 3), a view."""
        height, width = self._size(sample)
        start = int(self._starts[sample])
        return self._pixels[start : start + height * width * 3].reshape(height, width, 3)

    def problem(self, sample: int, image: Any) -> str | None:
        """Why `image` can't be that of `sample`, or None."""
        height, width = self._size(sample)
        if tuple(image.shape()) == (height, width, 3):
            return None
        decoded = "x".join(map(str, image.shape()[1::-1]))
        return f"it is {decoded} px, its index says {width}x{height}"

    def keep(self, sample: int, image: Any) -> bool:
        """Keep DALI's tensor `image`; whether there is a place for it."""
        if self._pixels is None:
            self._pixels = self._memory()
        if self._has_place[sample]:
            self.image(sample)[...] = self._array(image)
            self._kept[sample] = True
        return bool(self._has_place[sample])

    def copy(self, image: Any) -> Any:
        """DALI's tensor `image` as an array like ``image``'s."""
        array = self._array(image)
        return array.clone() if self.on_device else array.copy()

    def settle(self) -> None:
        """Wait until what was kept is in its place."""
        if self.on_device:
            torch.cuda.current_stream(self._device).synchronize()

    def clear(self) -> None:
        """Free the memory; what is kept later finds new."""
        self._kept[:] = False
        self._pixels = None

    def _memory(self) -> Any:
        if self.on_device:
            return torch.empty(self._bytes, dtype=torch.uint8, device=self._device)
        return np.empty(self._bytes, np.uint8)

    def _size(self, sample: int) -> tuple[int, int]:
        row = self._rows[sample]
        return int(row["height"]), int(row["width"])

    def _array(self, image: Any) -> Any:
        return from_dlpack(image) if self.on_device else np.asarray(image)


def image_bytes(index: SplitIndex, samples: Integers) -> Integers:
    """Of each of `samples` when it is decoded to RGB, int64 (B,)."""
    rows = index.samples
    sizes: Integers = rows["height"][samples].astype(np.int64) * rows["width"][samples] * 3
    return sizes


def choose_kept(
    asked: str, index: SplitIndex, chosen: Integers, device: torch.device, *, rank: int
) -> DecodedCache | None:
    """Memory for the images of the `chosen` samples as --cache says, None if they aren't to be kept
    or don't fit; rank 0 says which."""
    if asked == "none" or not len(chosen):
        return None
    say = warn if rank == 0 else lambda sentence: None
    if asked == "device" and device.type != "cuda":
        say("--cache device needs a GPU, and there is none: nothing is kept.")
        return None
    needed = int(image_bytes(index, chosen).sum())
    where = device if asked == "device" else torch.device("cpu")
    limit = memory_for(asked, where)
    name = f"{index.name}: {len(chosen):,} decoded images need {_gib(needed)}"
    have = f"{_gib(limit)} that --cache {asked} may take of each rank's memory"
    if needed > limit:
        say(f"{name}, more than the {have}: nothing is kept.")
        return None
    try:
        kept = DecodedCache(index, chosen, where)
    except (MemoryError, torch.OutOfMemoryError):
        say(f"{name}, which can't be had: nothing is kept.")
        return None
    say(f"{name}, within the {have}: each is decoded once and kept.")
    return kept


def _gib(size_bytes: float) -> str:
    return f"{size_bytes / 2**30:.2f} GiB"
