"""Defaults of a run that follow from the number of its training samples.

Pure functions: any number of ranks and a resumed run have the same. docs/training.md explains them.
"""

import math

# Divisible by 1, 2, 4 and 8 ranks; from 65,536 samples on it is that of He et al. 2019,
# arXiv:1812.01187, which the other defaults follow.
MIN_BATCH_SIZE, MAX_BATCH_SIZE = 8, 256
# The length of the same paper, and the least number of steps.
EPOCHS, MIN_STEPS = 90.0, 1000
MAX_WARMUP_EPOCHS = 5.0
# Least distance of evaluations in steps, and how many a run has at least, if it has the epochs.
EVALUATION_STEPS, EVALUATIONS = 100, 10


def default_batch_size(samples: int) -> int:
    """Samples of a step: the largest power of two up to the square root of `samples`, from 8 to
    256. So an epoch has at least as many steps as a step has samples, from 64 samples on."""
    power = 1 << (math.isqrt(samples).bit_length() - 1)
    return min(MAX_BATCH_SIZE, max(MIN_BATCH_SIZE, power))


def default_epochs(samples: int) -> float:
    """Length of a run in epochs: 90, and more for fewer than 89 samples, for 1,000 steps."""
    return max(EPOCHS, float(math.ceil(MIN_STEPS * default_batch_size(samples) / samples)))


def default_warmup_epochs(epochs: float) -> float:
    """Epochs of warm-up: a tenth of a run of `epochs`, at most 5."""
    return min(MAX_WARMUP_EPOCHS, epochs / 10)


def default_evaluation_epochs(samples: int, epochs: float) -> float:
    """Whole epochs between evaluations in a run of `epochs`: one, or as many as have 100 steps of
    the default size, but at most a tenth of the run."""
    apart = math.ceil(EVALUATION_STEPS * default_batch_size(samples) / samples)
    return float(max(1, min(apart, int(epochs / EVALUATIONS))))
