"""Folds are a pure function of seed and samples, balanced, and divide no group."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.errors import MisuseError
from pipeline.plan.folds import draw_folds, parse_fold
from tests.helpers.folds import folds_of_the_page

seeds = st.integers(0, 2**63 - 1)
folds = st.integers(2, 7)
Ranks = NDArray[np.int64]


def firsts(names: list[int]) -> Ranks:
    """Groups as ``read_groups`` gives them."""
    return np.array([names.index(name) for name in names])


@st.composite
def samples(draw: st.DrawFn) -> tuple[Ranks, Ranks]:
    """Ranks and groups of up to 80 samples: many small groups, or few large ones."""
    count = draw(st.integers(1, 80))
    ranks = draw(st.lists(st.integers(0, draw(st.integers(0, 5))), min_size=count, max_size=count))
    most = draw(st.integers(0, count))
    names = draw(st.lists(st.integers(0, most), min_size=count, max_size=count))
    return np.array(ranks), firsts(names)


@given(drawn=samples(), folds=folds, seed=seeds)
def test_folds_are_those_of_the_page_and_divide_no_group(
    drawn: tuple[Ranks, Ranks], folds: int, seed: int
) -> None:
    ranks, groups = drawn
    fold_of = draw_folds(seed, folds, ranks=ranks, groups=groups)
    assert fold_of.tolist() == folds_of_the_page(seed, folds, ranks.tolist(), groups.tolist())
    assert np.array_equal(fold_of, fold_of[groups])
    used = min(folds, len(np.unique(groups)))
    assert np.array_equal(np.unique(fold_of), 1 + np.arange(used))


@given(
    ranks=st.lists(st.integers(0, 6), min_size=1, max_size=300).map(np.array),
    folds=folds,
    seed=seeds,
)
def test_without_groups_each_class_and_the_whole_are_divided_to_within_one(
    ranks: Ranks, folds: int, seed: int
) -> None:
    fold_of = draw_folds(seed, folds, ranks=ranks, groups=np.arange(len(ranks)))
    for part in (fold_of, *(fold_of[ranks == rank] for rank in range(7))):
        counts = np.bincount(part, minlength=folds + 1)[1:]
        assert counts.max() - counts.min() <= 1


@given(names=st.lists(st.integers(0, 30), min_size=1, max_size=200), folds=folds, seed=seeds)
def test_folds_of_groups_differ_by_at_most_the_largest_group(
    names: list[int], folds: int, seed: int
) -> None:
    groups = firsts(names)
    fold_of = draw_folds(seed, folds, ranks=np.zeros_like(groups), groups=groups)
    counts = np.bincount(fold_of, minlength=folds + 1)[1:]
    assert counts.max() - counts.min() <= np.bincount(groups).max()


def test_folds_of_one_seed_are_independent_of_those_of_another() -> None:
    ranks, groups = np.zeros(3000, np.int64), np.arange(3000)
    first, second = (draw_folds(seed, 5, ranks=ranks, groups=groups) for seed in (1, 2))
    # 600 are expected to be in the same fold of both; 6 standard deviations are 131.
    assert 469 < np.count_nonzero(first == second) < 731


def test_a_fold_is_read() -> None:
    assert (parse_fold("1/2"), parse_fold("12/12")) == ((1, 2), (12, 12))


@pytest.mark.parametrize(
    "text", ["0/5", "6/5", "2", "1/1", "2/0", "a/b", "1/2/3", " 1/5", "1/5\n", "-1/5", "²/5", ""]
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(MisuseError, match="give I/K, the fold I of K folds"):
        parse_fold(text)
