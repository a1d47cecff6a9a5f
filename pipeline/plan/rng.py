"""Random numbers as a pure function of what they are for: no generator, no state to save.

A word is hashed by splitmix64's output function (Steele, Lea, Flood: "Fast splittable
pseudorandom number generators", OOPSLA 2014), which is a bijection of 64-bit integers; several
words are chained.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Words = NDArray[np.uint64]

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


def scramble(words: Words) -> Words:
    """splitmix64 of each word. Arrays only: numpy warns when a scalar wraps around."""
    words = words + _GAMMA
    words = (words ^ (words >> np.uint64(30))) * _FIRST
    words = (words ^ (words >> np.uint64(27))) * _SECOND
    return words ^ (words >> np.uint64(31))


def random_words(*keys: ArrayLike) -> Words:
    """64 random bits for each element of the broadcast `keys` (non-negative integers)."""
    state = np.zeros(1, np.uint64)
    for key in keys:
        state = scramble(state ^ np.asarray(key).astype(np.uint64))
    return state


def uniform(*keys: ArrayLike) -> NDArray[np.float64]:
    """Uniform in [0, 1), 53 bits, for each element of the broadcast `keys`."""
    return (random_words(*keys) >> np.uint64(11)).astype(np.float64) * 2.0**-53
