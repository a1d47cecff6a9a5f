"""Types of arrays that many modules share."""

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
# Random bits, see ``plan/rng.py``.
Words = NDArray[np.uint64]
