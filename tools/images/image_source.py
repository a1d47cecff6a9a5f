"""What images are read from."""

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tools.images.codec import Pixels


class Images(Protocol):
    """Where the images of some sources come from; picklable and small."""

    def __len__(self) -> int: ...

    @property
    def mean_bytes(self) -> int:
        """About the mean size of a source."""
        ...

    def take(self, numbers: NDArray[np.int64]) -> "Images":
        """The images of the sources `numbers`, in that order."""
        ...

    def load(self, max_bytes: int) -> Iterator[tuple[int, bytes | Pixels | str]]:
        """For each source its size in bytes, and a file's contents, pixels, or the reason why it
        can't be used."""
        ...
