"""The interface of the classes that read images of a download."""

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tools.images.codec import Pixels


class Images(Protocol):
    """The images of some sources; picklable and small."""

    def __len__(self) -> int: ...

    @property
    def mean_bytes(self) -> int:
        """Approximate mean size of a source."""
        ...

    def take(self, numbers: NDArray[np.int64]) -> "Images":
        """The images at the positions `numbers`, in that order."""
        ...

    def load(self, max_bytes: int) -> Iterator[tuple[int, bytes | Pixels | str]]:
        """Yield for each source its size in bytes, and the contents of a file, pixels, or why it is
        rejected."""
        ...
