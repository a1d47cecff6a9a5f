"""Random numbers as a pure function of integer keys: no generator, no state to save.

A word is hashed by splitmix64's output function (Steele, Lea, Flood: "Fast splittable
pseudorandom number generators", OOPSLA 2014), which is a bijection of 64-bit integers; several
words are chained.
"""

import numpy as np
from numpy.typing import ArrayLike

from pipeline.arrays import Floats, Words

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


def scramble(words: Words) -> Words:
    """splitmix64 of each word. Arrays only: numpy warns when a scalar overflows."""
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


def uniform(*keys: ArrayLike) -> Floats:
    """Uniform in [0, 1), 53 bits, for each element of the broadcast `keys`."""
    return (random_words(*keys) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def uniforms(keys: Words, first: int, count: int) -> Floats:
    """Uniform in [0, 1), float64 (B, count): numbers `first` to `first` + `count` - 1 of each of
    the keys (B,)."""
    return uniform(keys[:, None], np.arange(first, first + count))
