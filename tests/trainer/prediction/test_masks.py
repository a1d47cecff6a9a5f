"""Run lengths, names of mask files, and what a sample submission of masks asks for."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from pipeline.errors import MisuseError
from trainer.prediction.mask_files import class_run_lengths, mask_file_names, mask_submission
from trainer.prediction.mask_forms import MaskForm, fit_mask_form
from trainer.prediction.run_lengths import run_lengths
from trainer.prediction.sample_submission import SampleSubmission
from trainer.prediction.submission_form import Names

TWO = Names(classes=("background", "ship"), labels=("background", "ship"))
THREE = Names(classes=("crack", "hole", "scratch"), labels=("1", "2", "3"))


def test_run_lengths_go_down_the_columns_from_one() -> None:
    mask = np.array([[0, 1, 1], [1, 1, 0]], bool)
    assert run_lengths(mask) == "2 4"
    assert run_lengths(~mask) == "1 1 6 1"
    assert run_lengths(np.zeros((2, 3), bool)) == ""


@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=9)))
def test_run_lengths_give_the_mask_back(mask: NDArray[np.bool_]) -> None:
    pixels = np.zeros(mask.size, bool)
    numbers = [*map(int, run_lengths(mask).split())]
    for start, length in zip(numbers[0::2], numbers[1::2], strict=True):
        pixels[start - 1 : start - 1 + length] = True
    assert np.array_equal(pixels.reshape(mask.shape, order="F"), mask)


@given(st.lists(st.text(max_size=6), max_size=20))
@example(["x_y-2", "x y", "x_y"])
@example(["a" * 300, "a" * 299])
def test_mask_files_have_plain_and_different_names(ids: list[str]) -> None:
    names = mask_file_names(ids)
    assert len(set(names)) == len(ids) and all(len(name) < 60 for name in names)
    assert all("/" not in name and not name.startswith(".") and "\0" not in name for name in names)


def sample(**columns: tuple[str, ...]) -> SampleSubmission:
    cells = next(iter(columns.values()))
    return SampleSubmission(
        table="sample.csv",
        columns=("id", *columns),
        cells=(("a",) * len(cells), *columns.values()),
        id_column=0,
        samples=(0,) * len(cells),
    )


def test_run_lengths_fill_a_row_per_image_or_per_image_and_class() -> None:
    mask = np.array([[0, 1], [2, 1]], np.uint8)
    asked = sample(rle=("1 1",))
    assert fit_mask_form(asked, TWO) == MaskForm(value=1, kind=None, only=1)
    lengths = dict(class_run_lengths([(0, mask)], [1]))
    assert [*mask_submission(asked, fit_mask_form(asked, TWO), TWO, lengths).rows] == [("a", "3 2")]
    asked = sample(EncodedPixels=("", "1 1", ""), ClassId=("3", "1", "2"))
    form = fit_mask_form(asked, THREE)
    lengths = dict(class_run_lengths([(0, mask)], form.classes(THREE)))
    assert [*mask_submission(asked, form, THREE, lengths).rows] == [
        ("a", "2 1", "3"),
        ("a", "1 1", "1"),
        ("a", "3 2", "2"),
    ]


def test_asks_which_class_a_single_column_means() -> None:
    with pytest.raises(MisuseError, match="--positive-class"):
        fit_mask_form(sample(rle=("1 1",)), THREE)
    named = Names(classes=THREE.classes, labels=THREE.labels, positive="hole")
    assert fit_mask_form(sample(rle=("1 1",)), named).only == 1
    with pytest.raises(MisuseError, match="What does sample"):
        fit_mask_form(sample(x=("5",), y=("6",)), TWO)
