"""Drawn splits: exact by class, whole by group, the same for the same seed."""

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.helpers.squares import Squares
from tools.download.name_patterns import split_of_cell, split_word
from tools.download.sources import Sources, sort_classes
from tools.writing.plan import Plan, make_plan
from tools.writing.split_sampling import strata_of, validation_quotas


def planned(
    labels: NDArray[np.int32], *, val: float | None = None, seed: int = 1, **fields: Any
) -> Plan:
    classes = tuple(str(n) for n in range(int(labels.max()) + 1))
    whole: dict[str, Any] = {"splits": None, "classes": classes, "rejected": (), **fields}
    images = Squares(np.arange(len(labels)))
    names = [str(n) for n in range(len(labels))]
    return make_plan(
        Sources(images=images, names=names, labels=labels, **whole), val=val, seed=seed
    )


def validated(plan: Plan) -> NDArray[np.int64]:
    return plan.order[slice(*plan.bounds.get("val", (0, 0)))]


@given(
    counts=st.lists(st.integers(1, 50), min_size=1, max_size=20),
    fraction=st.floats(0, 0.95, allow_nan=False),
    seed=st.integers(0, 2**32),
)
def test_the_validation_split_is_exact(counts: list[int], fraction: float, seed: int) -> None:
    labels = np.repeat(np.arange(len(counts)), counts).astype(np.int32)
    plan = planned(labels, val=fraction, seed=seed)
    assert sorted(plan.order.tolist()) == list(range(len(labels)))
    drawn = np.bincount(labels[validated(plan)], minlength=len(counts))
    np.testing.assert_array_equal(drawn, validation_quotas(np.array(counts), fraction))
    assert np.all(drawn < np.array(counts))
    assert np.all(np.abs(drawn - np.array(counts) * fraction) <= 1 + 1e-9)
    assert drawn.sum() <= round(sum(counts) * fraction)


@given(
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=40),
    classes=st.integers(1, 5),
    fraction=st.floats(0, 0.95, allow_nan=False),
    seed=st.integers(0, 2**32),
)
def test_no_group_is_divided(sizes: list[int], classes: int, fraction: float, seed: int) -> None:
    groups = np.repeat(np.arange(len(sizes)), sizes).astype(np.int32)
    labels = ((groups * 7 + np.arange(len(groups)) % 2) % classes).astype(np.int32)
    shuffled = np.random.default_rng(seed).permutation(len(groups))
    plan = planned(labels[shuffled], val=fraction, seed=seed, groups=groups[shuffled])
    inside = validated(plan)
    outside = np.setdiff1d(np.arange(len(groups)), inside)
    assert not set(groups[shuffled][inside]) & set(groups[shuffled][outside])
    assert len(outside)
    expected = round(len(groups) * fraction)
    assert abs(len(inside) - expected) <= max(sizes)
    again = planned(labels[shuffled], val=fraction, seed=seed, groups=groups[shuffled])
    np.testing.assert_array_equal(again.order, plan.order)


def test_groups_are_spread_evenly_by_class() -> None:
    generator = np.random.default_rng(0)
    groups = np.repeat(np.arange(1000), 3).astype(np.int32)
    labels = np.repeat(generator.choice(4, 1000, p=[0.7, 0.2, 0.08, 0.02]), 3).astype(np.int32)
    drawn = np.bincount(labels[validated(planned(labels, groups=groups, val=0.2))], minlength=4)
    assert np.all(np.abs(drawn - 0.2 * np.bincount(labels)) <= 3)


def test_several_labels_are_spread_by_the_rarest() -> None:
    targets = np.zeros((100, 3), np.float32)
    targets[:, 0] = 1
    targets[::10, 2] = 1
    strata = strata_of(np.full(100, -1, np.int32), targets, "multi-label")
    assert len(set(strata[::10])) == 1 and strata[0] not in strata[1:10]


def test_regression_needs_no_classes() -> None:
    labels = np.full(20, -1, np.int32)
    targets = np.arange(20, dtype=np.float32)[:, None]
    images = Squares(np.arange(20))
    sources = Sources(
        images=images,
        names=[""] * 20,
        task="regression",
        labels=labels,
        classes=(),
        targets=targets,
        splits=None,
        rejected=(),
    )
    assert make_plan(sources, val=0.25, seed=0).bounds == {"train": (0, 15), "val": (15, 20)}


def test_split_words() -> None:
    assert split_word("mnist_train.csv") == "train"
    assert split_word("Training/valid/x_test") == "test"
    assert split_word("latest/strain.csv") is None


def test_splits_of_cells() -> None:
    cases = [
        ("split", " Train ", "train"),
        ("Usage", "PublicTest", "val"),
        ("Usage", "PrivateTest", "test"),
        ("Usage", "Training", "train"),
        ("set", "validation_set", "val"),
        ("is_valid", "True", "val"),
        ("is_valid", "0", "train"),
        ("is_train", "False", "val"),
        ("is_test", "1", "test"),
        ("split", "fold 1", None),
        ("split", "", None),
        ("species", "True", None),
    ]
    assert [(column, cell, split_of_cell(column, cell)) for column, cell, _ in cases] == cases


def test_classes_are_sorted() -> None:
    assert sort_classes(["10", "2", "-1"]) == ("-1", "2", "10")
    assert sort_classes(["10", "2", "b"]) == ("10", "2", "b")
