"""Sources with and without labels: ids, groups, and the names of classes."""

from pathlib import PurePosixPath

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import DataError
from tests.helpers.partly_labeled import CLASSES, COUNT, partly_labeled
from tools.download.label_sets import as_table
from tools.download.name_index import id_of
from tools.readings.class_names import ClassNames, name_classes

NAMES = ClassNames("names.csv", labels=("unicorn", "cat", "dog"), names=("Unicorn", "Cat", "Dog"))


def test_ids_are_stems_unless_the_download_has_its_own() -> None:
    sources = partly_labeled("classification", 9)
    assert sources.id(5) == "5" and sources.names[5] == "photos/5.png"
    taken = sources.take(np.array([40, 3]))
    assert [taken.id(number) for number in range(2)] == ["40", "3"]
    assert taken.has_label.tolist() == [False, True]


def test_groups_without_a_text_are_null() -> None:
    sources = partly_labeled("classification", 9).take(np.array([2, COUNT - 1]))
    assert [sources.group_name(number) for number in range(2)] == ["patient 1", None]


@pytest.mark.parametrize("task", ["classification", "multi-label"])
def test_named_classes_keep_missing_labels(task: str) -> None:
    sources = partly_labeled(task, 9)
    named = name_classes(sources, NAMES)
    assert named.classes == NAMES.names and named.class_labels == NAMES.labels
    assert len(named) == len(sources)
    if task == "classification":
        new = np.array([1, 2, 0, -1])
        assert named.labels.tolist() == new[sources.labels].tolist()
    else:
        assert sources.targets is not None and named.targets is not None
        table = as_table(named.targets)[:, [1, 2, 0]]
        np.testing.assert_array_equal(table, as_table(sources.targets))


def test_a_file_without_any_of_the_labels_is_refused() -> None:
    others = ClassNames("names.csv", labels=("a", "b"), names=("A", "B"))
    with pytest.raises(DataError, match=f"none of the labels, such as '{CLASSES[0]}'"):
        name_classes(partly_labeled("classification", 9), others)


@given(path=st.text(st.characters(exclude_characters="/"), min_size=1), folder=st.booleans())
def test_an_id_is_the_stem_of_a_file(path: str, folder: bool) -> None:
    path = f"a.b/{path}" if folder else path
    if path.endswith((".", "a.b/")) or path in (".", ".."):
        return
    assert id_of(path) == PurePosixPath(path).stem
