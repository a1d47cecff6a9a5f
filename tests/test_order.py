"""Order: every sample once an epoch, whoever asks, from wherever they start."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import MisuseError
from pipeline.order import (
    per_rank_batch_size,
    permute,
    samples_at,
    step_positions,
    validation_samples,
)

seeds = st.integers(0, 2**63 - 1)


@given(count=st.integers(1, 3000), seed=seeds, epoch=st.integers(0, 10**6))
def test_an_epoch_is_a_permutation(count: int, seed: int, epoch: int) -> None:
    order = permute(np.arange(count), count=count, seed=seed, epoch=epoch)
    assert np.array_equal(np.sort(order), np.arange(count))


@given(count=st.integers(1, 10**12), place=st.integers(0, 10**12), seed=seeds)
def test_a_place_needs_no_table(count: int, place: int, seed: int) -> None:
    chosen = permute(np.array([place % count]), count=count, seed=seed, epoch=1)
    assert 0 <= chosen[0] < count


@pytest.mark.parametrize("world_size", [1, 2, 3, 4])
@given(
    samples=st.integers(1, 400),
    per_rank=st.integers(1, 24),
    epochs=st.integers(1, 3),
    seed=seeds,
)
def test_union_over_ranks_is_every_sample_once_an_epoch(
    world_size: int, samples: int, per_rank: int, epochs: int, seed: int
) -> None:
    global_batch_size = per_rank * world_size
    steps = -(-samples * epochs // global_batch_size)
    seen = []
    for step in range(steps):
        for rank in range(world_size):
            positions = step_positions(
                step,
                start=0,
                global_batch_size=global_batch_size,
                rank=rank,
                world_size=world_size,
            )
            seen.append(np.stack(samples_at(positions, samples=samples, seed=seed)))
    epoch, sample = np.concatenate(seen, axis=1)
    for number in range(epochs):
        assert np.array_equal(np.sort(sample[epoch == number]), np.arange(samples))


@given(
    world_sizes=st.tuples(st.sampled_from([1, 2, 3, 4]), st.sampled_from([1, 2, 3, 4])),
    start=st.integers(0, 10**9),
    step=st.integers(0, 10**4),
)
def test_the_global_batch_does_not_depend_on_the_world_size(
    world_sizes: tuple[int, int], start: int, step: int
) -> None:
    batches = [
        np.concatenate(
            [
                step_positions(
                    step, start=start, global_batch_size=24, rank=rank, world_size=world_size
                )
                for rank in range(world_size)
            ]
        )
        for world_size in world_sizes
    ]
    assert np.array_equal(*batches)
    assert batches[0][0] == start + step * 24


@given(samples=st.integers(0, 500), world_size=st.integers(1, 8))
def test_validation_is_every_sample_once(samples: int, world_size: int) -> None:
    shares = [
        validation_samples(samples=samples, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    assert np.array_equal(np.concatenate(shares), np.arange(samples))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_all_orders_of_few_samples_are_about_as_likely() -> None:
    orders = Counter(
        tuple(permute(np.arange(4), count=4, seed=seed, epoch=0).tolist()) for seed in range(4800)
    )
    assert len(orders) == 24
    # Each is drawn 200 times on average; 5 standard deviations are 70.
    assert min(orders.values()) > 130 and max(orders.values()) < 270


def test_epochs_are_uncorrelated() -> None:
    first, second = (
        permute(np.arange(20_000), count=20_000, seed=0, epoch=epoch) for epoch in (0, 1)
    )
    # The standard deviation of the correlation of 20,000 independent pairs is 0.007.
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.035
    assert abs(np.corrcoef(first, np.arange(20_000))[0, 1]) < 0.035
    assert abs(np.corrcoef(first[:-1], first[1:])[0, 1]) < 0.035


@pytest.mark.parametrize(("global_batch_size", "near"), [(10, "9 or 12"), (2, "3 or 6")])
def test_a_batch_that_ranks_cannot_share_is_refused(global_batch_size: int, near: str) -> None:
    with pytest.raises(MisuseError, match=f"{global_batch_size} can't be divided by 3.*{near}"):
        per_rank_batch_size(global_batch_size, 3)
