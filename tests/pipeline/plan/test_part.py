"""Parts of the training samples: a pure function of seed and samples, nested and stratified."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.errors import MisuseError
from pipeline.plan.part import draw_part, order_for_parts, parse_train_samples, part_size
from tests.helpers.parts import part_of_the_page

seeds = st.integers(0, 2**63 - 1)
Numbers = NDArray[np.int64]


@st.composite
def labeled(draw: st.DrawFn, most: int = 40) -> tuple[Numbers, Numbers]:
    """Ascending rows and their ranks: classes of very different sizes, some of them empty."""
    sizes = draw(st.lists(st.integers(0, draw(st.integers(1, most))), min_size=1, max_size=7))
    ranks = np.repeat(np.arange(len(sizes)), sizes)
    assume(len(ranks))
    ranks = ranks[draw(st.permutations(range(len(ranks))))]
    steps = draw(st.lists(st.integers(1, 3), min_size=len(ranks), max_size=len(ranks)))
    return np.cumsum(steps), ranks


def drawn(seed: int, rows: Numbers, ranks: Numbers, count: int) -> set[int]:
    order, needed = order_for_parts(seed, rows=rows, ranks=ranks)
    part = draw_part(ranks[order], needed=needed, count=max(count, needed))
    return set(rows[order[part]].tolist())


@given(samples=labeled(9), seed=seeds, share=st.floats(0, 1))
def test_a_part_is_that_of_the_page(
    samples: tuple[Numbers, Numbers], seed: int, share: float
) -> None:
    rows, ranks = samples
    _, needed = order_for_parts(seed, rows=rows, ranks=ranks)
    count = max(needed, round(share * len(rows)))
    shown = [{rank} for rank in ranks.tolist()]
    expected = part_of_the_page(seed, count, rows.tolist(), ranks.tolist(), shown)
    assert (sorted(drawn(seed, rows, ranks, count)), needed) == expected


@given(samples=labeled(), seed=seeds, counts=st.tuples(st.integers(1, 300), st.integers(1, 300)))
def test_parts_are_nested(
    samples: tuple[Numbers, Numbers], seed: int, counts: tuple[int, int]
) -> None:
    rows, ranks = samples
    small, large = (drawn(seed, rows, ranks, min(n, len(rows))) for n in sorted(counts))
    assert small <= large


@given(samples=labeled(), seed=seeds, share=st.floats(0, 1))
def test_each_class_has_its_share_to_within_one_sample_and_at_least_one(
    samples: tuple[Numbers, Numbers], seed: int, share: float
) -> None:
    rows, ranks = samples
    sizes = np.bincount(ranks)
    part = drawn(seed, rows, ranks, round(share * len(rows)))
    assert len(part) == max(round(share * len(rows)), np.count_nonzero(sizes))
    counts = np.bincount(ranks[np.isin(rows, list(part))], minlength=len(sizes))
    assert (counts >= np.minimum(sizes, 1)).all()
    for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
        exact = Fraction(size * len(part), len(rows))
        assert count < max(exact, 1) + 1
        if min(sizes[sizes > 0]) * len(part) >= len(rows):
            assert abs(count - exact) < 1


@given(
    shown=st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=1, max_size=14),
    seed=seeds,
    extra=st.integers(0, 14),
)
def test_a_part_of_several_classes_an_image_shows_each_class(
    shown: list[list[bool]], seed: int, extra: int
) -> None:
    columns = np.array(shown)
    columns = columns[:, np.argsort(columns.sum(axis=0), kind="stable")]
    ranks = np.array([row.index(True) if any(row) else 4 for row in columns.tolist()])
    rows = 3 * np.arange(len(ranks)) + 5
    order, needed = order_for_parts(seed, rows=rows, ranks=ranks, shown=columns)
    count = min(len(rows), max(1, needed + extra))
    part = np.sort(order[draw_part(ranks[order], needed=needed, count=count)])
    assert np.array_equal(columns[part].any(axis=0), columns.any(axis=0))
    sets = [set(np.flatnonzero(row).tolist()) for row in columns]
    expected = part_of_the_page(seed, count, rows.tolist(), ranks.tolist(), sets)
    assert (rows[part].tolist(), needed) == expected


def test_parts_of_another_seed_have_other_samples() -> None:
    rows, ranks = np.arange(3000), np.zeros(3000, np.int64)
    first, second = (drawn(seed, rows, ranks, 600) for seed in (1, 2))
    # 120 are expected in both; 6 standard deviations are 53.
    assert 67 < len(first & second) < 173


def test_a_part_is_read_and_rounded() -> None:
    assert parse_train_samples("500") == 500
    assert parse_train_samples("12.5%") == Fraction(1, 8)
    sizes = {"100%": 45, "10%": 5, "1%": 0, "3.3%": 1, "45": 45, "46": 46}
    assert {text: part_size(parse_train_samples(text), 45) for text in sizes} == sizes


@pytest.mark.parametrize(
    "text",
    [
        *("0", "00", "0%", "0.0%", "100.1%", "101%", "-5", "-5%", "5.5", "ten", "%", "", "1,000"),
        *("5 %", "1e3", "nan%", "5\n", "²", "9" * 40),
    ],
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(MisuseError, match="give a number of samples of at least 1, such as"):
        parse_train_samples(text)
