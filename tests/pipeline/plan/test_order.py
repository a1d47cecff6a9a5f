"""Orders have every sample once per epoch, at any world size and from any position."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import MisuseError
from pipeline.plan.order import (
    Order,
    fixed_order,
    global_order,
    inverse_frequency,
    permute,
    repeated,
    weighted_order,
    window_order,
)
from pipeline.plan.ranks import per_rank_batch_size, step_positions, validation_samples

seeds = st.integers(0, 2**63 - 1)


@given(count=st.integers(1, 3000), seed=seeds, epoch=st.integers(0, 10**6))
def test_an_epoch_is_a_permutation(count: int, seed: int, epoch: int) -> None:
    order = permute(np.arange(count), seed, epoch, count=count)
    assert np.array_equal(np.sort(order), np.arange(count))


@given(count=st.integers(1, 10**12), index=st.integers(0, 10**12), seed=seeds)
def test_permute_evaluates_single_indices_of_large_ranges(
    count: int, index: int, seed: int
) -> None:
    samples = permute(np.array([index % count]), seed, 1, count=count)
    assert 0 <= samples[0] < count


shard_sizes = st.lists(st.integers(1, 60), min_size=1, max_size=12)


@st.composite
def orders(draw: st.DrawFn) -> tuple[Order, int]:
    """An order that has every sample once per epoch, and the number of samples."""
    sizes, seed = draw(shard_sizes), draw(seeds)
    order = draw(
        st.sampled_from(
            [
                fixed_order(sum(sizes)),
                global_order(sum(sizes), seed),
                window_order(np.array(sizes), draw(st.integers(1, 15)), seed),
            ]
        )
    )
    return order, sum(sizes)


@given(
    order=orders(),
    world_size=st.integers(1, 8),
    per_rank=st.integers(1, 24),
    epochs=st.integers(1, 3),
)
def test_all_ranks_together_have_every_sample_once_per_epoch(
    order: tuple[Order, int], world_size: int, per_rank: int, epochs: int
) -> None:
    at, samples = order
    global_batch_size = per_rank * world_size
    steps = -(-samples * epochs // global_batch_size)
    seen = []
    for step in range(steps):
        for rank in range(world_size):
            positions = step_positions(
                step, start=0, global_batch_size=global_batch_size, rank=rank, world_size=world_size
            )
            seen.append(np.stack(at(positions)))
    epoch, sample = np.concatenate(seen, axis=1)
    for number in range(epochs):
        assert np.array_equal(np.sort(sample[epoch == number]), np.arange(samples))


@given(order=orders(), positions=st.lists(st.integers(0, 10**6), min_size=1, max_size=50))
def test_a_position_does_not_depend_on_other_positions(
    order: tuple[Order, int], positions: list[int]
) -> None:
    at, _ = order
    separate = np.concatenate(
        [np.stack(at(np.array([position]))) for position in positions], axis=1
    )
    assert np.array_equal(np.stack(at(np.array(positions))), separate)


@given(sizes=shard_sizes, window=st.integers(1, 15), seed=seeds, epoch=st.integers(0, 100))
def test_a_shuffle_window_reads_few_shards_at_a_time(
    sizes: list[int], window: int, seed: int, epoch: int
) -> None:
    samples = sum(sizes)
    at = window_order(np.array(sizes), window, seed)
    _, order = at(np.arange(samples) + epoch * samples)
    shards = np.repeat(np.arange(len(sizes)), sizes)[order]
    runs, seen = [shards[:0]], np.empty(0, np.int64)
    while sum(map(len, runs)) < samples:
        rest = shards[sum(map(len, runs)) :]
        _, first = np.unique(rest, return_index=True)
        window_shards = rest[np.sort(first)][: min(window, len(first))]
        runs.append(rest[: int(np.isin(rest, window_shards).sum())])
        assert len(np.unique(runs[-1])) <= window
        assert not np.isin(runs[-1], seen).any()
        seen = np.append(seen, runs[-1])


def test_a_shuffle_window_of_all_shards_differs_by_epoch_and_seed() -> None:
    sizes = np.full(10, 30)
    orders = [
        window_order(sizes, 10, seed)(np.arange(300) + e * 300)[1]
        for seed, e in ((0, 0), (0, 1), (1, 0))
    ]
    assert len({order.tobytes() for order in orders}) == 3
    # The standard deviation of the correlation of 300 independent pairs is 0.06.
    assert all(abs(np.corrcoef(order, np.arange(300))[0, 1]) < 0.3 for order in orders)


@given(
    counts=st.lists(st.integers(0, 300), min_size=2, max_size=6).filter(any),
    seed=seeds,
    start=st.integers(0, 10**12),
)
def test_inverse_frequency_gives_classes_equal_counts(
    counts: list[int], seed: int, start: int
) -> None:
    labels = np.repeat(np.arange(len(counts)), counts).astype(np.int32)
    at = weighted_order(labels, inverse_frequency(labels, len(counts)), seed)
    count = 6000
    visits, samples = at(np.arange(start, start + count))
    assert np.array_equal(visits, np.arange(start, start + count))
    class_counts = np.bincount(labels[samples], minlength=len(counts))
    present = np.array(counts) > 0
    share = 1 / present.sum()
    assert not class_counts[~present].any()
    # Six standard deviations of a binomial count.
    assert (abs(class_counts[present] - count * share) <= 6 * np.sqrt(count * share) + 1e-9).all()


def test_samples_of_a_class_are_drawn_uniformly() -> None:
    labels = np.repeat([0, 1], [900, 100]).astype(np.int32)
    at = weighted_order(labels, np.array([1.0, 3.0]), seed=3)
    _, samples = at(np.arange(100_000))
    counts = np.bincount(samples, minlength=1000)
    assert counts[:900].sum() == pytest.approx(25_000, rel=0.05)
    assert counts[:900].std() == pytest.approx(np.sqrt(counts[:900].mean()), rel=0.15)


@given(order=orders(), times=st.integers(2, 4))
def test_repeated_samples_are_consecutive_and_have_distinct_visits(
    order: tuple[Order, int], times: int
) -> None:
    at, samples = order
    visits, visited = repeated(at, times)(np.arange(2 * samples * times))
    assert np.array_equal(visited.reshape(-1, times)[:, 0], at(np.arange(2 * samples))[1])
    assert (visited.reshape(-1, times) == visited.reshape(-1, times)[:, :1]).all()
    assert len(set(zip(visits.tolist(), visited.tolist(), strict=True))) == len(visits)


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


def test_permutations_of_four_samples_are_equally_likely() -> None:
    orders = Counter(
        tuple(permute(np.arange(4), seed, 0, count=4).tolist()) for seed in range(4800)
    )
    assert len(orders) == 24
    # Each is drawn 200 times on average; 5 standard deviations are 70.
    assert min(orders.values()) > 130 and max(orders.values()) < 270


def test_epochs_are_uncorrelated() -> None:
    first, second = (permute(np.arange(20_000), 0, epoch, count=20_000) for epoch in (0, 1))
    # The standard deviation of the correlation of 20,000 independent pairs is 0.007.
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.035
    assert abs(np.corrcoef(first, np.arange(20_000))[0, 1]) < 0.035
    assert abs(np.corrcoef(first[:-1], first[1:])[0, 1]) < 0.035


@pytest.mark.parametrize(("global_batch_size", "near"), [(10, "9 or 12"), (2, "3 or 6")])
def test_a_batch_size_that_ranks_do_not_divide_is_rejected(
    global_batch_size: int, near: str
) -> None:
    with pytest.raises(MisuseError, match=f"{global_batch_size} can't be divided by 3.*{near}"):
        per_rank_batch_size(global_batch_size, 3)
