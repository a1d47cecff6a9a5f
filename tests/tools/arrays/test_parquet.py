"""Images in parquet files: encoded, as lists of pixels, as columns of pixels."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from pipeline.errors import DataError, MisuseError
from tests.helpers.array_downloads import (
    Pixels,
    classes_of,
    collect,
    find,
    images_of,
    labels_of,
    pictures,
    splits_of,
    zipped,
)

GRAY, RGB, LABELS = pictures(30, 8, 8), pictures(30, 9, 12, 3), classes_of(30)
TEXTS = [str(label) for label in LABELS.tolist()]


def write(path: Path, names: Any = None, row_group_size: int = 7, **columns: Any) -> Path:
    """A table; `names` are those of the classes in column "label"."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table(columns)
    if names is not None:
        features = {"label": {"names": names, "_type": "ClassLabel"}}
        about = json.dumps({"info": {"features": features}})
        table = table.replace_schema_metadata({"huggingface": about})
    parquet.write_table(table, path, row_group_size=row_group_size)
    return path


def encoded(images: Pixels, suffix: str = ".png") -> list[bytes]:
    return [cv2.imencode(suffix, image[..., ::-1])[1].tobytes() for image in images]


def cells(images: Pixels) -> list[dict[str, Any]]:
    return [{"bytes": data, "path": f"{n}.png"} for n, data in enumerate(encoded(images))]


def pixel_columns(images: Pixels, prefix: str = "") -> dict[str, Any]:
    flat = images.reshape(len(images), -1)
    return {f"{prefix}{n}": flat[:, n] for n in range(flat.shape[1])}


@pytest.mark.parametrize("packed", [False, True])
def test_encoded_images_in_several_files_a_split(tmp_path: Path, packed: bool) -> None:
    folder, names = tmp_path / "download", ["cat", "dog", "frog", "newt"]
    for n, rows in enumerate((slice(0, 10), slice(10, 30))):
        write(
            folder / f"data/train-{n:05}-of-00002-1f2e3d4c5b6a7988.parquet",
            names,
            image=cells(RGB[rows]),
            label=LABELS[rows],
        )
    write(folder / "data/test-00000-of-00001-8a7b6c.parquet", names, image=cells(RGB), label=LABELS)
    sources, labeled = collect(zipped(folder) if packed else folder)
    np.testing.assert_array_equal(images_of(sources), np.concatenate([RGB, RGB]))
    assert sources.classes == tuple(names) and labels_of(sources)[:2] == ["cat", "dog"]
    assert splits_of(sources) == ["train"] * 30 + ["test"] * 30 and labeled.all()
    assert sources.names[10].endswith("data/train-00001-of-00002-1f2e3d4c5b6a7988.parquet row 1")


def test_labels_of_minus_one_are_an_unlabeled_test(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", ["a", "b", "c"], image=cells(RGB), label=LABELS)
    write(tmp_path / "test.parquet", ["a", "b", "c"], image=cells(RGB), label=np.full(30, -1))
    sources, labeled = collect(tmp_path)
    assert labeled.tolist() == [True] * 30 + [False] * 30 and len(sources.classes) == 3


def test_bytes_and_texts(tmp_path: Path) -> None:
    images = [None, *encoded(RGB[1:], ".bmp")]
    labels = pa.array([*(f"class {n}" for n in TEXTS[:-1]), None]).dictionary_encode()
    write(tmp_path / "photos.parquet", picture=images, species=labels, width=[12] * 30)
    sources, _ = collect(tmp_path)
    assert sources.rejected == (("photos.parquet row 30", "the row has no label"),)
    assert labels_of(sources) == [f"class {n}" for n in TEXTS[:-1]]
    loaded = [image for _, image in sources.images.load(2**20)]
    assert loaded[0] == "the row has no image" and loaded[1:] == images[1:-1]
    assert "more than --max-bytes" in str([*sources.images.load(20)][1])


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("kind", [pa.uint8(), pa.int64(), pa.float32()])
def test_lists_of_pixels(tmp_path: Path, nested: bool, kind: pa.DataType) -> None:
    images = RGB if nested else GRAY
    rows = images.tolist() if nested else images.reshape(30, -1).tolist()
    shape = pa.list_(pa.list_(pa.list_(kind))) if nested else pa.list_(kind)
    write(tmp_path / "a.parquet", pixels=pa.array(rows, shape), label=TEXTS)
    sources, _ = collect(tmp_path)
    np.testing.assert_array_equal(images_of(sources), images)
    assert labels_of(sources) == TEXTS


def test_a_list_of_another_length(tmp_path: Path) -> None:
    rows = [*GRAY.reshape(30, -1).tolist()[:-1], [1, 2, 3]]
    write(tmp_path / "a.parquet", pixels=rows, label=TEXTS)
    with pytest.raises(DataError, match=r"a\.parquet row 30 has 3 values .* others have 64"):
        collect(tmp_path)


@pytest.mark.parametrize("rows", [1, 7, 100])
@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.float64])
def test_columns_of_pixels(tmp_path: Path, rows: int, kind: Any) -> None:
    columns = pixel_columns(GRAY.astype(kind), "pixel")
    write(tmp_path / "train.parquet", row_group_size=rows, label=LABELS, **columns)
    write(tmp_path / "test.parquet", row_group_size=rows, **columns)
    sources, labeled = collect(tmp_path)
    np.testing.assert_array_equal(images_of(sources), np.concatenate([GRAY, GRAY]))
    assert labels_of(sources) == TEXTS + ["-"] * 30 and labeled.sum() == 30


def test_ids_for_a_table_elsewhere(tmp_path: Path) -> None:
    ids = [f"Train_{n}" for n in range(30)]
    for n, rows in enumerate((slice(0, 10), slice(10, 30))):
        columns = pixel_columns(GRAY[rows])
        write(tmp_path / f"train_image_data_{n}.parquet", image_id=ids[rows], **columns)
    (part,) = find(tmp_path)
    assert part.ids is not None and [*part.ids()] == ids and [*part.ids()] == ids
    assert not part.labeled and part.images == 30 and part.split == "train"
    with pytest.raises(DataError, match="30 images, but no labels"):
        collect(tmp_path)


def test_images_that_are_not_square(tmp_path: Path) -> None:
    columns = pixel_columns(pictures(30, 5, 16))
    write(tmp_path / "a.parquet", label=LABELS, **columns)
    with pytest.raises(MisuseError, match=r"80 values, no square .* --pixel-size HEIGHT WIDTH"):
        collect(tmp_path)
    sources, _ = collect(tmp_path, pixel_size=(5, 16))
    np.testing.assert_array_equal(images_of(sources), pictures(30, 5, 16))


def test_two_label_columns_are_a_question(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", image=cells(RGB), color=TEXTS, shape_of_it=classes_of(30, 5))
    with pytest.raises(
        MisuseError, match=r"color  \(30 images, 3 classes\)\n.*shape_of_it  \(30 images, 5 "
    ):
        collect(tmp_path)
    assert len(collect(tmp_path, label_column=("shape_of_it",))[0].classes) == 5


def test_a_number_and_its_name_are_one_reading(tmp_path: Path) -> None:
    names = [["cat", "dog", "frog"][n] for n in LABELS]
    write(tmp_path / "a.parquet", image=cells(RGB), label=LABELS, label_text=names)
    assert labels_of(collect(tmp_path)[0]) == names


def test_a_column_of_splits(tmp_path: Path) -> None:
    splits = ["train", "train", "valid"] * 10
    write(tmp_path / "a.parquet", image=cells(RGB), label=TEXTS, split=splits)
    assert splits_of(collect(tmp_path)[0]) == ["train", "train", "val"] * 10


def test_numbers_are_a_regression(tmp_path: Path) -> None:
    ages = np.linspace(1, 99, 30)
    write(tmp_path / "a.parquet", image=cells(RGB), age=ages)
    sources, _ = collect(tmp_path)
    assert sources.task == "regression" and sources.target_names == ("age",)


def test_a_label_without_a_name(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", ["cat", "dog"], image=cells(RGB), label=LABELS)
    row = TEXTS.index("2") + 1
    with pytest.raises(DataError, match=rf"a\.parquet row {row}: the label 2 has no name"):
        collect(tmp_path)


def test_a_missing_piece(tmp_path: Path) -> None:
    write(tmp_path / "train-00000-of-00003.parquet", image=cells(RGB), label=LABELS)
    with pytest.raises(DataError, match="says 3 files, and the download has 1"):
        collect(tmp_path)


def test_tables_without_images(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(30, 8)).tolist()
    write(tmp_path / "features.parquet", embedding=rows, label=LABELS, text=["a cat"] * 30)
    assert find(tmp_path) == []


def test_a_file_that_is_cut_off(tmp_path: Path) -> None:
    path = write(tmp_path / "train.parquet", image=cells(RGB), label=LABELS)
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(DataError, match=r"train\.parquet: can't be read as parquet"):
        collect(tmp_path)


def test_two_columns_of_images_are_a_question(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", left=cells(RGB), right=cells(RGB[::-1]), label=LABELS)
    with pytest.raises(MisuseError, match="--image-column left\n  --image-column right"):
        collect(tmp_path)
    sources, _ = collect(tmp_path, image_column="right")
    np.testing.assert_array_equal(images_of(sources), RGB[::-1])
