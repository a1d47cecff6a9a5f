"""What the columns of a sample submission ask for."""

import numpy as np
import pytest

from pipeline.errors import MisuseError
from trainer.prediction.sample_submission import SampleSubmission
from trainer.prediction.submission_form import Names, fit_form
from trainer.prediction.tables import submission_table
from trainer.tasks.classification import Classification
from trainer.tasks.multi_label import MultiLabel
from trainer.tasks.regression import Regression

TWO = Names(classes=("benign", "malignant"), labels=("0", "1"))
THREE = Names(classes=("cat", "dog", "unicorn"), labels=("n01", "n02", "n03"))
VALUES = np.array([[0.2, 0.8, 0.6], [0.7, 0.1, 0.2]])


def sample(**columns: tuple[str, ...]) -> SampleSubmission:
    """A sample submission for samples 1 and 0, in that order."""
    return SampleSubmission(
        table="sample_submission.csv",
        columns=("image", *columns),
        cells=(("b.png", "a.png"), *columns.values()),
        id_column=0,
        samples=(1, 0),
    )


def filled(asked: SampleSubmission, task: type, names: Names) -> list[tuple[str, ...]]:
    form = fit_form(asked, _task(task, names), names)
    table = submission_table(asked, form, VALUES[:, : len(names.classes)])
    assert table.header == asked.columns
    return [row[1:] for row in table.rows]


def _task(task: type, names: Names) -> Classification | MultiLabel | Regression:
    if task is Regression:
        ones = tuple(1.0 for _ in names.classes)
        return Regression(targets=names.classes, means=ones, stds=ones)
    made: Classification | MultiLabel = task(classes=names.classes)
    return made


def test_two_classes_take_a_probability_or_a_label() -> None:
    asked = sample(target=("0.5", "0.5"))
    assert filled(asked, Classification, TWO) == [("0.1",), ("0.8",)]
    assert filled(sample(target=("0", "0")), Classification, TWO) == [("0",), ("1",)]
    assert filled(sample(target=("malignant", "")), Classification, TWO) == [
        ("benign",),
        ("malignant",),
    ]
    other = Names(classes=TWO.classes, labels=TWO.labels, positive="benign")
    for cells in (("0.5", "0"), ("0", "0")):
        assert filled(sample(target=cells), Classification, other) == [("0.7",), ("0.2",)]


def test_a_column_called_like_a_class_takes_its_probability() -> None:
    asked = sample(Benign=("0.5", "0.5"))
    assert filled(asked, Classification, TWO) == [("0.7",), ("0.2",)]
    assert filled(sample(dog=("0.5", "0.5")), Classification, THREE) == [("0.1",), ("0.8",)]


def test_labels_may_be_written_as_fractions() -> None:
    numbers = Names(classes=("0", "1", "2"), labels=("0", "1", "2"))
    assert filled(sample(grade=("2.0", "0.0")), Classification, numbers) == [("0",), ("1",)]


def test_the_class_is_written_as_the_download_writes_it() -> None:
    assert filled(sample(breed=("n01", "n01")), Classification, THREE) == [("n01",), ("n02",)]
    assert filled(sample(breed=("dog", "cat")), Classification, THREE) == [("cat",), ("dog",)]
    assert filled(sample(breed=("", "")), Classification, THREE) == [("n01",), ("n02",)]


def test_several_classes_in_each_cell_are_the_most_probable_ones() -> None:
    for cells in (("n01 n02", "n03 n01"), ("n01 n02", "n03")):
        found = filled(sample(id=cells), Classification, THREE)
        assert found == [("n01 n03",), ("n02 n03",)]


def test_the_separator_of_the_download_joins_where_the_sample_shows_none() -> None:
    names = Names(classes=THREE.classes, labels=THREE.labels, separator="|")
    for cells in (("n01", "n02"), ("", "")):
        assert filled(sample(tags=cells), MultiLabel, names) == [("n01",), ("n02|n03",)]


@pytest.mark.parametrize("names", [("Unicorn", "CAT", "dog"), ("n03", "n01", "n02")])
def test_a_column_for_each_class_takes_probabilities(names: tuple[str, ...]) -> None:
    asked = sample(**dict.fromkeys(names, ("0", "0")))
    for task in (Classification, MultiLabel):
        assert filled(asked, task, THREE) == [("0.2", "0.7", "0.1"), ("0.6", "0.2", "0.8")]


@pytest.mark.parametrize("separator", [" ", ",", ", ", "|", ";"])
def test_labels_are_joined_as_in_the_sample(separator: str) -> None:
    asked = sample(tags=(f"n01{separator}n02", "n03"))
    assert filled(asked, MultiLabel, THREE) == [("n01",), (f"n02{separator}n03",)]
    strict = Names(classes=THREE.classes, labels=THREE.labels, threshold=0.75)
    assert filled(asked, MultiLabel, strict) == [("",), ("n02",)]


def test_regression_takes_targets_by_name_or_the_only_one() -> None:
    ages = Names(classes=("age", "size"), labels=("age", "size"))
    asked = sample(size=("1", "1"), age=("0", "0"))
    assert filled(asked, Regression, ages) == [("0.1", "0.7"), ("0.8", "0.2")]
    age = Names(classes=("age",), labels=("age",))
    assert filled(sample(label=("0", "0")), Regression, age) == [("0.7",), ("0.2",)]


@pytest.mark.parametrize(
    ("asked", "task", "names", "words"),
    [
        (sample(label=("0", "1")), Classification, THREE, "values that are no labels"),
        (sample(label=("0.5", "0.5")), Classification, THREE, "fractions, but there are 3 classes"),
        (sample(cat=("0", "0"), dog=("0", "0")), Classification, THREE, "no column for each class"),
        (sample(y=("0", "0")), Regression, THREE, "one column for 3 targets"),
        (sample(tags=("n01 n09", "n01")), MultiLabel, THREE, "'n01 n09'"),
    ],
)
def test_asks_about_what_fits_nothing(
    asked: SampleSubmission, task: type, names: Names, words: str
) -> None:
    with pytest.raises(MisuseError, match="What does sample_submission") as caught:
        filled(asked, task, names)
    assert words in caught.value.message
    assert "--format" in caught.value.message


def test_rejects_an_unknown_positive_class() -> None:
    names = Names(classes=TWO.classes, labels=TWO.labels, positive="2")
    with pytest.raises(MisuseError, match="--positive-class 2: the classes are benign, malignant"):
        filled(sample(target=("0.5", "0.5")), Classification, names)


def test_rows_without_a_sample_keep_their_cells() -> None:
    asked = SampleSubmission(
        table="sample_submission.csv",
        columns=("target", "image"),
        cells=(("0.5", "0.25", "0.5"), ("x", "y", "z")),
        id_column=1,
        samples=(0, None, 1),
    )
    assert asked.missing_ids == ["y"]
    task = Classification(classes=TWO.classes)
    table = submission_table(asked, fit_form(asked, task, TWO), VALUES[:, :2])
    assert [*table.rows] == [("0.8", "x"), ("0.25", "y"), ("0.1", "z")]
