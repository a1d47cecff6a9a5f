"""Pixel tables: all forms give the same images, labels and splits."""

import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.errors import DataError, MisuseError
from pipeline.storage.manifest import SPLITS
from tests.helpers.pixel_csvs import (
    FORMS,
    IMAGES,
    LABELS,
    NAMED,
    RGB,
    ROWS,
    Unpack,
    collect,
    find,
    images_of,
    label_first,
    labels_of,
    packed,
    table,
    write,
)
from tools.download.label_sets import as_table
from tools.workers import Workers


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_images(tmp_path: Path, workers: Workers, form: str) -> None:
    sources = collect(write(tmp_path, FORMS[form]), workers)
    assert labels_of(sources) == LABELS and sources.rejected == ()
    np.testing.assert_array_equal(images_of(sources), IMAGES.reshape(-1, 4, 4))
    assert sources.splits is None and sources.task == "classification"


def test_a_table_in_a_zip(tmp_path: Path, workers: Workers) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/train.csv", FORMS["digit recognizer"])
    sources = collect(tmp_path, workers)
    np.testing.assert_array_equal(images_of(sources), IMAGES.reshape(-1, 4, 4))
    assert sources.names[3] == "a.zip/a/train.csv row 5"


@pytest.mark.parametrize("layout", ["interleaved", "planar"])
def test_colors(tmp_path: Path, workers: Workers, layout: str) -> None:
    values = RGB.reshape(-1, 4, 4, 3)
    written = (values.transpose(0, 3, 1, 2) if layout == "planar" else values).reshape(ROWS, -1)
    rows = [",".join(map(str, [*row, label])) for row, label in zip(written, LABELS, strict=True)]
    header = ",".join([*(f"pixel{n:04}" for n in range(48)), "label"])
    folder = write(tmp_path, "\n".join([header, *rows]), "hmnist_4_4_RGB.csv")
    sources = collect(folder, workers, pixel_layout=layout)
    np.testing.assert_array_equal(images_of(sources), values)
    (part,) = find(folder, pixel_layout=layout)
    assert f"4 x 4 pixels (RGB, {layout})" in part.describe()


def test_images_that_are_not_square(tmp_path: Path, workers: Workers) -> None:
    header = ",".join(["label", *(f"pixel{n}" for n in range(18))])
    rows = "\n".join(f"{n % 2},{','.join(['7'] * 18)}" for n in range(4))
    folder = write(tmp_path, f"{header}\n{rows}\n")
    with pytest.raises(MisuseError, match=r"18 values .* no square image.* --pixel-size"):
        find(folder, labels=("train.csv",))
    assert images_of(collect(folder, workers, pixel_size=(3, 6))).shape == (4, 3, 6)
    assert images_of(collect(folder, workers, pixel_size=(2, 3))).shape == (4, 2, 3, 3)


def test_a_column_of_splits(tmp_path: Path, workers: Workers) -> None:
    usage = ["Training", "PublicTest", "PrivateTest"] * 4
    text = table(["emotion", "pixels", "Usage"], lambda n, v: [*packed(n, v), usage[n]])
    sources = collect(write(tmp_path, text, "fer2013.csv"), workers)
    assert sources.splits is not None and labels_of(sources) == LABELS
    assert [SPLITS[n] for n in sources.splits.tolist()] == ["train", "val", "test"] * 4
    (part,) = find(tmp_path)
    assert "splits in column 'Usage'" in part.describe()


def test_a_column_of_booleans_and_one_of_groups(tmp_path: Path, workers: Workers) -> None:
    text = table(
        ["is_val", "patient", *NAMED],
        lambda n, v: [str(n % 4 == 0), f"p{n // 2}", *label_first(n, v)],
    )
    sources = collect(write(tmp_path, text), workers, group_column="patient")
    assert sources.splits is not None and sources.groups is not None
    assert sources.splits.tolist() == [1, 0, 0, 0] * 3
    assert sources.groups.tolist() == [n // 2 for n in range(ROWS)]
    asked = collect(tmp_path, workers, split_column="is_val", label_column=("label",))
    assert asked.groups is None and asked.splits is not None
    with pytest.raises(MisuseError, match=r"No .*column 'fold' \(--split-column\)"):
        find(tmp_path, split_column="fold")


def test_several_tables_are_splits(tmp_path: Path, workers: Workers) -> None:
    text = FORMS["from 1"]
    write(tmp_path, text, "sign_mnist_train.csv")
    write(tmp_path, "\n".join(text.splitlines()[:6]), "sign_mnist_test.csv")
    sources = collect(tmp_path, workers)
    assert sources.splits is not None
    assert sources.splits.tolist() == [0] * ROWS + [2] * 5
    assert sources.names[ROWS] == "sign_mnist_test.csv row 2"
    np.testing.assert_array_equal(images_of(sources)[ROWS:], images_of(sources)[:5])
    write(tmp_path, FORMS["packed"].replace("emotion", "label"), "sign_mnist_valid.csv")
    assert len(collect(tmp_path, workers)) == 2 * ROWS + 5


def test_tables_of_different_forms_are_an_error(tmp_path: Path, workers: Workers) -> None:
    write(tmp_path, FORMS["digit recognizer"])
    row = ",".join(["1"] * 26)
    write(tmp_path, f"{row}\n{row}\n", "test.csv")
    with pytest.raises(DataError, match=r"different sizes: train.csv \(4, 4\), test.csv \(5, 5\)"):
        collect(tmp_path, workers)
    text = table([*NAMED, "Usage"], lambda n, v: [*label_first(n, v), "Training"])
    write(tmp_path, text, "test.csv")
    with pytest.raises(DataError, match="don't have the same columns"):
        collect(tmp_path, workers)


def test_a_table_without_labels_is_the_test_split_or_an_error(tmp_path: Path) -> None:
    write(tmp_path, FORMS["digit recognizer"])
    write(tmp_path, table(NAMED[1:], lambda n, v: v), "test.csv")
    write(tmp_path, table(["id", *NAMED[1:]], lambda n, v: [str(n), *v]), "test2.csv")
    part, *tests = find(tmp_path)
    assert part.table.name == "train.csv" and part.describe() == (
        "train.csv: an image of 4 x 4 pixels (gray) in each row, labels in column 'label'"
    )
    assert [test.table.name for test in tests] == ["test.csv", "test2.csv"]
    assert all(test.describe().endswith("(gray) in each row, without labels") for test in tests)
    for name in ("test.csv", "test2.csv"):
        with pytest.raises(MisuseError, match=f"{name}: .* 4 x 4 pixels and no column of labels"):
            find(tmp_path, labels=(name,))


def test_several_columns_may_be_the_label(tmp_path: Path, workers: Workers) -> None:
    text = table(
        ["age", "gender", "img_name", "pixels"],
        lambda n, v: [str(20 + n % 5), str(n % 2), f"{n}.jpg", " ".join(v)],
    )
    (part,) = find(write(tmp_path, text))
    with pytest.raises(MisuseError, match=r"2 columns .*\n  --label-column age\n.* gender"):
        part.describe()
    sources = collect(tmp_path, workers, label_column=("gender",))
    assert labels_of(sources) == [str(n % 2) for n in range(ROWS)]
    ages = collect(tmp_path, workers, label_column=("age",), task="regression")
    assert ages.targets is not None and ages.targets[:3, 0].tolist() == [20, 21, 22]


def test_keypoints_are_a_regression(tmp_path: Path, workers: Workers) -> None:
    points = ["left_eye_x", "left_eye_y", "nose_x"]

    def row(number: int, values: list[str]) -> list[str]:
        return [f"{number}.25", f"{number * 2}.5", "" if number == 4 else "0.125", " ".join(values)]

    sources = collect(write(tmp_path, table([*points, "Image"], row), "training.csv"), workers)
    assert sources.task == "regression" and sources.target_names == tuple(points)
    assert sources.targets is not None and as_table(sources.targets).dtype == np.float32
    kept = [n for n in range(ROWS) if n != 4]
    assert as_table(sources.targets).tolist() == [[n + 0.25, 2 * n + 0.5, 0.125] for n in kept]
    assert sources.labels.tolist() == [-1] * (ROWS - 1)
    np.testing.assert_array_equal(images_of(sources), IMAGES[kept].reshape(-1, 4, 4))
    assert sources.rejected == (("training.csv row 6", "column 'nose_x' is empty"),)


def test_one_hot_columns(tmp_path: Path, workers: Workers) -> None:
    names = ["cat", "dog", "bird"]
    hot = np.eye(3, dtype=int)[np.arange(ROWS) % 3]
    text = table([*names, *NAMED[1:]], lambda n, v: [*map(str, hot[n]), *v])
    columns = {"label_column": tuple(names)}
    sources = collect(write(tmp_path, text), workers, **columns)
    assert labels_of(sources) == [names[n % 3] for n in range(ROWS)] and sources.ordered
    hot[5] = 1
    text = table([*names, *NAMED[1:]], lambda n, v: [*map(str, hot[n]), *v])
    sources = collect(write(tmp_path, text), workers, **columns)
    assert sources.task == "multi-label" and sources.classes == tuple(names)
    assert sources.targets is not None and as_table(sources.targets).tolist() == hot.tolist()
    sources = collect(tmp_path, workers, task="classification", **columns)
    assert len(sources) == ROWS - 1
    assert sources.rejected == (
        ("train.csv row 7", "3 of the one-hot columns are 1, not exactly one"),
    )


def test_digit_recognizer(shared_data: Unpack, workers: Workers, tmp_path: Path) -> None:
    name = "digit_recognizer_train_1537rows"
    for suffix in ("", "_truncated_last"):
        source = shared_data("csv_pixels") / f"{name}{suffix}.csv"
        folder = tmp_path / f"source{suffix}"
        write(folder, source.read_text())
        sources = collect(folder, workers)
        lines = source.read_text().splitlines()[1:1538]
        values = np.array([[int(cell) for cell in line.split(",")] for line in lines])
        assert labels_of(sources) == [str(label) for label in values[:, 0]]
        np.testing.assert_array_equal(images_of(sources).reshape(1537, -1), values[:, 1:])
        reason = "the row has 314 cells, not 785"
        assert sources.rejected == ((("train.csv row 1539", reason),) if suffix else ())


@pytest.mark.parametrize("layout", ["interleaved", "planar"])
def test_cifar(shared_data: Unpack, workers: Workers, layout: str, tmp_path: Path) -> None:
    source = shared_data("cifar10_kaggle_png200")
    write(tmp_path, (source / f"pixels_rgb_{layout}.csv").read_bytes().decode())
    sources = collect(tmp_path, workers, pixel_layout=layout)
    images = [cv2.imread(str(source / "train" / f"{n}.png")) for n in range(1, 201)]
    np.testing.assert_array_equal(images_of(sources)[..., ::-1], np.stack(images))
