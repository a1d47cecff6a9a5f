"""The column of the labels by evidence: folders, test tables, submissions, names, cells."""

from collections.abc import Sequence

import pytest

from tools.readings.columns import Column, Role
from tools.readings.label_choice import LabelEvidence, choose_label

ROWS = 40


def cycle(*values: str) -> list[str]:
    return [values[n % len(values)] for n in range(ROWS)]


def column(name: str, cells: Sequence[str], index: int = 0) -> Column:
    return Column(index, name, cells)


@pytest.mark.parametrize(
    ("name", "cells", "role"),
    [
        ("kind", cycle("a", "b"), Role.LABEL),
        ("kind", cycle("a"), Role.CONSTANT),
        ("kind", cycle(""), Role.CONSTANT),
        ("user_id", cycle("1", "2", "3"), Role.ID),
        ("class_id", cycle("1", "2", "3"), Role.LABEL),
        ("code", [f"k{n}" for n in range(ROWS)], Role.ID),
        ("weight", [f"{n}.5" for n in range(ROWS)], Role.NUMBER),
        ("serial", [str(n) for n in range(ROWS)], Role.NUMBER),
        ("image_height", cycle("480", "640"), Role.SIZE),
        ("size", cycle("small", "large"), Role.LABEL),
        ("bbox_x1", cycle("3", "9"), Role.BOX),
        ("Roi.Y2", cycle("3", "9"), Role.BOX),
        ("patient", cycle("p1", "p2", "p3"), Role.GROUP),
        ("person", cycle("0", "1"), Role.LABEL),
        ("kfold", cycle("0", "1", "2"), Role.FOLD),
        ("taken", cycle("2021-03-04", "2020-01-02"), Role.DATE),
        ("date_taken", cycle("a", "b"), Role.DATE),
        ("remark", cycle("a", "b"), Role.TEXT),
        ("said", [f"one dog runs on hill {n}" for n in range(ROWS)], Role.TEXT),
        ("where", [f"disk/{n}.bin" for n in range(ROWS)], Role.TEXT),
        ("rle", cycle("1 2 8 3", "4 4", ""), Role.RUNS),
        ("kind", cycle("1 2 8 3", "4 4", ""), Role.LABEL),
        ("", cycle("1", "2"), Role.ID),
    ],
)
def test_roles(name: str, cells: list[str], role: Role) -> None:
    assert column(name, cells).role is role


TABLE = [
    column("file", [f"{n}.png" for n in range(ROWS)], 0),
    column("width", cycle("10", "20"), 1),
    column("site", cycle("a", "b", "c"), 2),
    column("wall", cycle("red", "green"), 3),
    column("roof", cycle("x", "y", "z", "w"), 4),
]


def chosen(evidence: LabelEvidence, columns: Sequence[Column] = TABLE) -> list[str]:
    choice = choose_label(columns, {0}, evidence)
    assert choice.is_certain == (len(choice.targets) == 1)
    return [columns[target[0]].name for target in choice.targets]


def test_without_evidence_all_labels_remain() -> None:
    assert chosen(LabelEvidence()) == ["site", "wall", "roof"]


@pytest.mark.parametrize(
    ("evidence", "name"),
    [
        (LabelEvidence(folders=cycle("x", "y", "z", "w")), "roof"),
        (LabelEvidence(known=frozenset({"red", "green", "blue"})), "wall"),
        (LabelEvidence(lacking=frozenset({"site"})), "site"),
        (LabelEvidence(submission=("Wall",)), "wall"),
        (LabelEvidence(submission=("w", "x", "y", "z")), "roof"),
        # Folders show what the labels are; a submission may ask for something else.
        (LabelEvidence(folders=cycle("red", "green"), submission=("roof",)), "wall"),
        (LabelEvidence(lacking=frozenset({"site", "roof"}), submission=("roof",)), "roof"),
    ],
)
def test_evidence_decides(evidence: LabelEvidence, name: str) -> None:
    assert chosen(evidence) == [name]
    assert choose_label(TABLE, {0}, evidence).reason


def test_folders_that_differ_in_more_than_a_few_rows_decide_nothing() -> None:
    folders = cycle("x", "y", "z", "w")
    folders[:4] = ["w", "x", "y", "z"]
    assert len(chosen(LabelEvidence(folders=folders))) == 3


def test_a_column_that_is_called_so_is_the_label() -> None:
    columns = [*TABLE[:4], column("category", TABLE[4].cells, 4)]
    assert chosen(LabelEvidence(), columns) == ["category"]


def test_a_number_and_its_name_are_one_reading() -> None:
    codes = [{"x": "7", "y": "3", "z": "9", "w": "4"}[cell] for cell in TABLE[4].cells]
    columns = [TABLE[0], column("roof_code", codes, 1), TABLE[4]]
    columns[2] = column("roof", TABLE[4].cells, 2)
    choice = choose_label(columns, {0}, LabelEvidence())
    assert choice.targets == ((2,),) and choice.equivalent == ("roof_code",)


def test_flags_stay_together_and_numbers_stay_together() -> None:
    flags = [column(name, cycle("0", "1"), n) for n, name in enumerate(("a", "b", "c"))]
    always = column("d", cycle("1"), 3)
    assert choose_label([*flags, always], set(), LabelEvidence()).targets == ((0, 1, 2, 3),)
    points = [column(f"p{n}", [f"{k + n}.25" for k in range(ROWS)], n) for n in range(6)]
    assert choose_label(points, set(), LabelEvidence()).targets == ((0, 1, 2, 3, 4, 5),)


def test_positions_are_the_target_only_without_a_label() -> None:
    positions = [column(f"eye_x{n}", cycle("3", "4", "9"), n) for n in range(6)]
    assert choose_label(positions, set(), LabelEvidence()).targets == ((0, 1, 2, 3, 4, 5),)
    label = column("kind", cycle("a", "b"), 6)
    assert choose_label([*positions, label], set(), LabelEvidence()).targets == ((6,),)
