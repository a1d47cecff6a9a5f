"""Sets of labels stand for a table, and take memory for the labels that sources have only."""

import tracemalloc

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tools.download.label_sets import LabelSets, as_sets, as_table
from tools.readings.targets import MultiLabelTargets
from tools.writing.split_sampling import strata_of

TABLES = st.integers(0, 2**31).map(
    lambda seed: (np.random.default_rng(seed).random((7, 5)) < 0.4).astype(np.float32)
)


@given(TABLES, st.lists(st.integers(0, 6), max_size=9))
def test_sets_stand_for_a_table(table: np.ndarray, numbers: list[int]) -> None:
    table[3] = np.nan
    sets, chosen = as_sets(table), np.array(numbers, np.int64)
    assert sets.shape == table.shape
    np.testing.assert_array_equal(as_table(sets), table)
    np.testing.assert_array_equal(as_table(sets[chosen]), table[chosen])


def test_strata_are_the_rarest_label() -> None:
    table = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 0], [1, 1, 1]], np.float32)
    labels = np.full(4, -1, np.int32)
    for targets in (table, as_sets(table)):
        assert strata_of(labels, targets, "multi-label").tolist() == [2, 1, 0, 3]


class Name(str):
    """Counts comparisons."""

    compared = 0

    def __eq__(self, other: object) -> bool:
        Name.compared += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def test_20_000_tags_take_few_comparisons_and_little_memory() -> None:
    targets, tags = MultiLabelTargets(unites_rows=True), [Name(f"tag{n}") for n in range(20_000)]
    for n in range(10_000):
        targets.add((tags[2 * n], tags[2 * n + 1]))
    targets.add_missing()
    targets.merge(0, (tags[7],))
    tracemalloc.start()
    fields = targets.fields(None)  # type: ignore[arg-type]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    sets = fields["targets"]
    assert isinstance(sets, LabelSets) and sets.shape == (10_001, 20_000)
    # The table would take 800 MB.
    assert peak < 2**24 and Name.compared < 10**6
    rows = as_table(sets[np.array([0, 9_999, 10_000])])
    assert rows[0].sum() == 3 and rows[1].sum() == 2 and np.isnan(rows[2]).all()
    assert {fields["classes"][n] for n in np.flatnonzero(rows[0])} == {"tag0", "tag1", "tag7"}
