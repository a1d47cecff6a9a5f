"""Batch, epochs, warm-up and evaluations follow from the number of training samples."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.data_defaults import (
    default_batch_size,
    default_epochs,
    default_evaluation_epochs,
    default_warmup_epochs,
)

samples_of = st.integers(1, 10**8)


@given(samples_of)
def test_any_number_of_ranks_up_to_8_shares_the_batch(samples: int) -> None:
    size = default_batch_size(samples)
    assert size % 8 == 0 and 8 <= size <= 256
    assert size <= max(8, samples)


@given(samples_of)
def test_a_run_has_enough_steps_and_evaluations(samples: int) -> None:
    size, epochs = default_batch_size(samples), default_epochs(samples)
    steps = math.ceil(epochs * samples / size)
    every = default_evaluation_epochs(samples, epochs)
    assert steps >= 1000
    assert epochs / every >= 9 and every == int(every) >= 1
    # Evaluations are at least 100 steps apart, but for a tenth of a run that has fewer.
    assert every * samples / size >= min(100, steps / 10 - samples / size)
    assert 0 < default_warmup_epochs(epochs) <= epochs / 10


@given(samples_of, samples_of)
def test_more_samples_never_mean_smaller_batches_or_more_passes(one: int, other: int) -> None:
    few, many = sorted((one, other))
    assert default_batch_size(few) <= default_batch_size(many)
    assert default_epochs(few) >= default_epochs(many)
    assert few * default_epochs(few) <= many * default_epochs(many)
    every = [default_evaluation_epochs(n, default_epochs(n)) for n in (few, many)]
    # A batch is twice as large from one sample on, so the distance may grow there by as much.
    assert every[1] <= 2 * every[0]


@given(samples_of, st.floats(1e-3, 1e4))
def test_evaluations_of_a_given_length(samples: int, epochs: float) -> None:
    every = default_evaluation_epochs(samples, epochs)
    assert every == 1 or epochs / every >= 10
    assert default_warmup_epochs(epochs) == pytest.approx(min(5, epochs / 10))


@pytest.mark.parametrize(
    ("samples", "size", "epochs", "every"),
    [
        (20, 8, 400, 40),
        (182, 8, 90, 5),
        (1617, 32, 90, 2),
        (50_000, 128, 90, 1),
        (1_281_167, 256, 90, 1),
    ],
)
def test_known_sets(samples: int, size: int, epochs: float, every: float) -> None:
    chosen = default_batch_size(samples), default_epochs(samples)
    assert (*chosen, default_evaluation_epochs(samples, epochs)) == (size, epochs, every)
