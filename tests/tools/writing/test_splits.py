"""The splits of sources: those of the download, validation drawn where it has none."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.storage.manifest import SPLITS
from tests.helpers.squares import Squares
from tools.config import ShardConfig
from tools.download.sources import Sources
from tools.messages import describe_plan
from tools.writing.plan import Plan, make_plan
from tools.writing.split_sampling import draw
from tools.writing.splits import TestUse, UnlabeledUse

TRAIN, VAL, TEST = range(3)


def sources_of(
    labels: NDArray[np.int32], splits: NDArray[np.int8] | None, **fields: Any
) -> Sources:
    """Sources of the classes "0", "1", ...; label -1 stands for a source without a label."""
    classes = tuple(map(str, range(int(labels.max()) + 1)))
    return Sources(
        images=Squares(np.arange(len(labels))),
        names=[f"{n}.png" for n in range(len(labels))],
        labeled=labels >= 0,
        labels=labels,
        classes=classes,
        splits=splits,
        rejected=(),
        **fields,
    )


def members(plan: Plan, split: str) -> NDArray[np.int64]:
    first, end = plan.bounds.get(split, (0, 0))
    return plan.order[first:end]


@st.composite
def downloads(draw_from: st.DrawFn) -> Sources:
    """Sources of a few classes in two or three splits; some of test have no label."""
    rows = draw_from(
        st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.booleans()), min_size=1)
    )
    # Every class has a source in train.
    labels = np.array([*range(4), *(label for label, _, _ in rows)], np.int32)
    splits = np.array([*[TRAIN] * 4, *(split for _, split, _ in rows)], np.int8)
    without = np.array([*[False] * 4, *(flag for _, _, flag in rows)])
    if not draw_from(st.booleans()):
        splits[splits == VAL] = TRAIN
    groups = None
    if draw_from(st.booleans()):
        groups = (np.arange(len(labels)) // draw_from(st.integers(1, 3))).astype(np.int32)
    labels = np.where(without & (splits == TEST), np.int32(-1), labels)
    return sources_of(labels, splits, groups=groups)


@given(
    sources=downloads(),
    val=st.one_of(st.none(), st.floats(0, 0.95)),
    test=st.sampled_from(["keep", "as-val"]),
    unlabeled=st.sampled_from(["keep", "drop"]),
    seed=st.integers(0, 2**32),
)
def test_the_splits_of_any_download(
    sources: Sources, val: float | None, test: TestUse, unlabeled: UnlabeledUse, seed: int
) -> None:
    plan = make_plan(sources, val=val, seed=seed, test=test, unlabeled=unlabeled)
    assert sources.splits is not None
    chosen = {name: members(plan, name) for name in SPLITS}
    own = {name: np.flatnonzero(sources.splits == n) for n, name in enumerate(SPLITS)}
    without = np.flatnonzero(~sources.has_label)
    # A sample without a label is in test or left out.
    assert not np.isin(without, [*chosen["train"], *chosen["val"]]).any()
    assert len(set(plan.order.tolist())) == len(plan.order)
    replaced = test == "as-val" and not len(own["val"]) and sources.has_label[own["test"]].any()
    left_out = np.setdiff1d(np.arange(len(sources)), plan.order)
    assert left_out.tolist() == (without.tolist() if replaced or unlabeled == "drop" else [])
    if replaced:
        assert not len(chosen["test"])
    else:
        kept = own["test"] if unlabeled == "keep" else np.setdiff1d(own["test"], without)
        assert sorted(chosen["test"]) == sorted(kept)
        # Validation is from train, or from the download's validation.
        assert set(chosen["val"]) <= {*own["train"], *own["val"]}
    if val is None and len(own["val"]):
        assert sorted(chosen["val"]) == sorted(own["val"])
    if sources.groups is None:
        assert set(plan.labels[chosen["train"]].tolist()) == {0, 1, 2, 3}
    elif plan.choice.is_drawn:
        groups = sources.groups
        assert not set(groups[chosen["train"]]) & set(groups[chosen["val"]])
    again = make_plan(sources, val=val, seed=seed, test=test, unlabeled=unlabeled)
    np.testing.assert_array_equal(again.order, plan.order)


def test_validation_is_drawn_from_train_as_if_there_were_no_test() -> None:
    labels = np.array([0, 1, 2, 1] * 25, np.int32)
    splits = np.where(np.arange(100) % 5 == 0, TEST, TRAIN).astype(np.int8)
    plan = make_plan(sources_of(labels, splits), val=None, seed=4)
    train = np.flatnonzero(splits == TRAIN)
    assert plan.bounds == {"train": (0, 72), "val": (72, 80), "test": (80, 100)}
    everything = make_plan(sources_of(labels, None), val=0.0, seed=4).order
    order = np.searchsorted(train, everything[np.isin(everything, train)])
    expected = train[draw(labels[train], order, 0.1) == VAL]
    assert sorted(members(plan, "val")) == expected.tolist()


DRAWN = "drawn from train, stratified by class"
STORED = "test images without labels are stored without a target."


@pytest.mark.parametrize(
    ("splits", "unlabeled", "options", "sentence"),
    [
        (None, 0, {}, ": 18 train and 2 val (random split, stratified by class), shuffled"),
        ([14, 0, 6], 0, {}, f": 13 train, 1 val ({DRAWN}) and 6 test, shuffled"),
        (
            [14, 0, 6],
            3,
            {},
            f"17 labeled images of 2 classes ('0', '1'): 13 train, 1 val ({DRAWN})",
        ),
        ([14, 0, 6], 3, {}, f"3 {STORED}"),
        ([14, 0, 6], 1, {}, "1 test image without labels is stored without a target."),
        ([14, 0, 6], 3, {"test": "as-val"}, "14 train and 3 val (the download's labeled test), "),
        ([14, 0, 6], 3, {"test": "as-val"}, "Left out 3 test images without labels, because"),
        ([14, 0, 6], 3, {"unlabeled": "drop"}, f": 13 train, 1 val ({DRAWN}) and 3 test, "),
        ([14, 0, 6], 3, {"unlabeled": "drop"}, "without labels, because of --unlabeled drop."),
        ([14, 0, 6], 6, {"test": "as-val"}, f": 13 train, 1 val ({DRAWN}) and 6 test"),
        ([14, 0, 6], 6, {"test": "as-val"}, f"6 {STORED}"),
        ([14, 0, 6], 0, {"test": "as-val", "val": 0.5}, "(drawn from train and test because of "),
        ([10, 4, 6], 0, {}, ": 10 train, 4 val (the download's val) and 6 test, shuffled"),
        (
            [10, 4, 6],
            2,
            {"val": 0.5},
            ": 7 train, 7 val (drawn from train and val because of --val",
        ),
        ([10, 4, 6], 0, {"val": 0.0}, ": 14 train and 6 test (no validation split), shuffled"),
        ([14, 6, 0], 0, {"val": 0.0}, ": 20 train (no validation split), shuffled"),
    ],
)
def test_sentences(
    splits: list[int] | None, unlabeled: int, options: dict[str, Any], sentence: str
) -> None:
    labels = np.array([0, 1] * 10, np.int32)
    labels[20 - unlabeled :] = -1
    column = None if splits is None else np.repeat(np.arange(3), splits).astype(np.int8)
    sources = sources_of(labels, column)
    config = ShardConfig(src="src", out="out", **options)
    plan = make_plan(
        sources, val=config.val, seed=config.seed, test=config.test, unlabeled=config.unlabeled
    )
    assert sentence in describe_plan(sources, plan, config)
