"""Images in .npy and .npz files: layouts, labels, splits, and what is no image."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import DataError, MisuseError
from tests.helpers.array_downloads import (
    classes_of,
    collect,
    find,
    images_of,
    labels_of,
    pictures,
    splits_of,
    write_arrays,
    zipped,
)

GRAY, RGB, LABELS = pictures(30, 9, 12), pictures(30, 9, 12, 3), classes_of(30)
TEXTS = [str(label) for label in LABELS.tolist()]
SQUARE = pictures(30, 8, 8)
ARRAYS: dict[str, tuple[Any, Any]] = {
    "gray": (GRAY, GRAY),
    "gray with a channel": (GRAY[..., None], GRAY),
    "gray, channels first": (GRAY[:, None], GRAY),
    "RGB": (RGB, RGB),
    "channels first": (RGB.transpose(0, 3, 1, 2), RGB),
    "samples last": (GRAY.transpose(1, 2, 0), GRAY),
    "RGB, samples last": (RGB.transpose(1, 2, 3, 0), RGB),
    "Fortran order": (np.asfortranarray(RGB), RGB),
    "Fortran order, samples last": (np.asfortranarray(RGB.transpose(1, 2, 3, 0)), RGB),
    "flat": (SQUARE.reshape(30, 64), SQUARE),
    "flat, samples last": (SQUARE.reshape(30, 64).T, SQUARE),
    "big-endian floats": ((GRAY / 255).astype(">f8"), GRAY),
    "int64": (GRAY.astype(np.int64), GRAY),
}
LABEL_FORMS: dict[str, Any] = {
    "integers": LABELS,
    "a column": LABELS[:, None].astype(np.uint8),
    "a row": LABELS[None],
    "one-hot": np.eye(3, dtype=np.float32)[LABELS],
    "whole floats": LABELS.astype(np.float64),
    "texts": LABELS.astype(str),
    "bytes": LABELS.astype("S"),
}


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("form", ARRAYS)
def test_every_layout_gives_the_same_images(
    tmp_path: Path, form: str, packed: bool, suffix: str
) -> None:
    stored, images = ARRAYS[form]
    folder = tmp_path / "download"
    write_arrays(folder / f"letters_images{suffix}", stored)
    write_arrays(folder / f"letters_labels{suffix}", LABELS)
    sources, labeled = collect(zipped(folder) if packed else folder)
    np.testing.assert_array_equal(images_of(sources), images)
    assert labels_of(sources) == TEXTS and labeled.all() and sources.splits is None


@pytest.mark.parametrize("form", LABEL_FORMS)
def test_every_form_of_labels(tmp_path: Path, form: str) -> None:
    write_arrays(tmp_path / "digits.npz", data=GRAY, target=LABEL_FORMS[form])
    sources, _ = collect(tmp_path)
    assert labels_of(sources) == TEXTS and sources.task == "classification"
    assert sources.names[16] == "digits.npz row 17"


def test_texts_stay_as_they_are(tmp_path: Path) -> None:
    names = np.array(["001", "NA", " No Finding "])[LABELS]
    write_arrays(tmp_path / "scans.npz", images=GRAY, findings=names)
    assert labels_of(collect(tmp_path)[0])[:2] == ["001", "NA" if LABELS[1] == 1 else "No Finding"]


def test_the_splits_of_a_medical_archive(tmp_path: Path) -> None:
    sizes = {"train": 30, "val": 8, "test": 10}
    images = {split: pictures(n, 9, 12, seed=n) for split, n in sizes.items()}
    arrays = {f"x_{split}": images[split] for split in sizes}
    arrays |= {f"y_{split}": classes_of(n)[:, None] for split, n in sizes.items()}
    write_arrays(tmp_path / "pneumonia.npz", **arrays)
    sources, _ = collect(tmp_path)
    assert splits_of(sources) == [split for split, n in sizes.items() for _ in range(n)]
    np.testing.assert_array_equal(images_of(sources), np.concatenate([*images.values()]))
    assert sources.names[30] == "pneumonia.npz x_val row 1"


@pytest.mark.parametrize(
    "names",
    [
        ("train_images.npy", "train_labels.npy", "test_images.npy", "test_labels.npy"),
        ("k-train-imgs.npz", "k-train-labels.npz", "k-test-imgs.npz", "k-test-labels.npz"),
        ("Xtrain.npy", "ytrain.npy", "Xtest.npy", "ytest.npy"),
        ("trainX.npy", "trainY.npy", "testX.npy", "testY.npy"),
        ("train/X.npy", "train/y.npy", "test/X.npy", "test/y.npy"),
        ("images/train.npy", "labels/train.npy", "images/test.npy", "labels/test.npy"),
        ("a/input_train.npy", "b/target_train.npy", "a/input_test.npy", "b/target_test.npy"),
    ],
)
def test_pairs_of_files(tmp_path: Path, names: tuple[str, ...]) -> None:
    test = pictures(30, 9, 12, seed=1)
    for name, array in zip(names, (GRAY, LABELS, test, LABELS[::-1]), strict=True):
        write_arrays(tmp_path / name, array)
    sources, _ = collect(tmp_path)
    assert splits_of(sources) == ["train"] * 30 + ["test"] * 30
    assert labels_of(sources) == TEXTS + TEXTS[::-1]
    np.testing.assert_array_equal(images_of(sources), np.concatenate([GRAY, test]))


def test_numbered_pieces_and_a_test_set(tmp_path: Path) -> None:
    pieces = [pictures(10 + n, 9, 12, 3, seed=n) for n in range(12)]
    for n, piece in enumerate(pieces):
        write_arrays(tmp_path / f"data_batch_{n + 1}.npz", data=piece, labels=classes_of(10 + n))
    write_arrays(tmp_path / "test_batch.npz", data=RGB, labels=LABELS)
    write_arrays(tmp_path / "meta.npz", label_names=np.array(["cat", "dog", "frog"]))
    sources, _ = collect(tmp_path)
    np.testing.assert_array_equal(images_of(sources), np.concatenate([*pieces, RGB]))
    assert splits_of(sources).count("train") == sum(map(len, pieces))
    assert "data_batch_1.npz data and 11 more arrays like it" in find(tmp_path)[0].describe()


def test_names_of_classes_in_the_same_file(tmp_path: Path) -> None:
    names = np.array(["non-cat", "cat", "maybe", "dog"])
    write_arrays(tmp_path / "cats.npz", x=GRAY, y=LABELS, list_classes=names)
    sources, _ = collect(tmp_path)
    assert sources.classes == tuple(names) and sources.ordered
    assert labels_of(sources) == names[LABELS].tolist()
    assert "The names of the classes are those of cats.npz list_classes." in sources.notes


def test_images_without_labels_are_the_test_set(tmp_path: Path) -> None:
    last = pictures(12, 9, 12).transpose(1, 2, 0)
    write_arrays(tmp_path / "a.npz", X_train=GRAY.transpose(1, 2, 0), y_train=LABELS, X_test=last)
    sources, labeled = collect(tmp_path)
    assert labeled.tolist() == [True] * 30 + [False] * 12
    assert labels_of(sources) == TEXTS + ["-"] * 12 and splits_of(sources)[30:] == ["test"] * 12
    np.testing.assert_array_equal(images_of(sources)[30:], last.transpose(2, 0, 1))


def test_a_number_and_its_name_are_one_reading(tmp_path: Path) -> None:
    names = np.array(["cat", "dog", "frog"])[LABELS]
    write_arrays(tmp_path / "a.npz", images=GRAY, labels=LABELS, label_names=names)
    assert labels_of(collect(tmp_path)[0]) == names.tolist()


def test_ids_are_no_labels(tmp_path: Path) -> None:
    ids = np.array([f"scan{n}" for n in range(30)])
    write_arrays(tmp_path / "a.npz", images=GRAY, ids=ids, patient=LABELS[::-1], grade=LABELS)
    (part,) = find(tmp_path)
    assert part.ids is not None and [*part.ids()] == ids.tolist()
    assert labels_of(collect(tmp_path)[0]) == TEXTS


def test_two_label_arrays_are_a_question(tmp_path: Path) -> None:
    fine, coarse = classes_of(30, 6), classes_of(30, 4)
    arrays = {
        f"{name}_{split}": array
        for split in ("train", "test")
        for name, array in (("x", RGB), ("fine_labels", fine), ("coarse_labels", coarse))
    }
    write_arrays(tmp_path / "cifar100.npz", **arrays)
    with pytest.raises(MisuseError) as caught:
        collect(tmp_path)
    lines = [line.strip() for line in caught.value.message.splitlines()[1:]]
    assert lines == [
        "--label-column fine_labels_train  (60 images, 6 classes)",
        "--label-column coarse_labels_train  (60 images, 4 classes)",
    ]
    sources, _ = collect(tmp_path, label_column=("coarse_labels_train",))
    assert labels_of(sources) == [str(label) for label in [*coarse, *coarse]]
    assert len(collect(tmp_path, label_column=("fine_labels",))[0].classes) == 6
    with pytest.raises(MisuseError, match=r"--label-column sex: no array .* called so"):
        collect(tmp_path, label_column=("sex",))


def test_two_data_sets_are_a_question(tmp_path: Path) -> None:
    write_arrays(tmp_path / "letters_images.npy", GRAY)
    write_arrays(tmp_path / "letters_labels.npy", LABELS)
    write_arrays(tmp_path / "digits_images.npy", GRAY[:20])
    write_arrays(tmp_path / "digits_labels.npy", classes_of(20, 5))
    with pytest.raises(MisuseError) as caught:
        collect(tmp_path)
    assert [line.strip() for line in caught.value.message.splitlines()[1:]] == [
        "--labels letters_labels.npy  (30 images, 3 classes)",
        "--labels digits_labels.npy  (20 images, 5 classes)",
    ]
    assert len(collect(tmp_path, labels=("digits_labels.npy",))[0]) == 20
    with pytest.raises(MisuseError, match=r"--labels other\.npy"):
        collect(tmp_path, labels=("other.npy",))


def test_two_sizes_in_one_file_are_a_question(tmp_path: Path) -> None:
    write_arrays(tmp_path / "a.npz", small=SQUARE, large=GRAY, labels=LABELS)
    with pytest.raises(
        MisuseError, match=r"--image-column small  \(30 images, 3 classes\)\n  --image-column large"
    ):
        collect(tmp_path)
    np.testing.assert_array_equal(images_of(collect(tmp_path, image_column="large")[0]), GRAY)


def test_several_labels_and_numbers(tmp_path: Path) -> None:
    flags = np.arange(90).reshape(30, 3) % 2
    write_arrays(tmp_path / "many.npz", images=GRAY, labels=flags)
    sources, _ = collect(tmp_path)
    assert sources.task == "multi-label" and sources.targets is not None
    np.testing.assert_array_equal(sources.targets, flags)
    angles = np.linspace(0, 1, 30)
    write_arrays(tmp_path / "many.npz", images=GRAY, y=angles)
    sources, _ = collect(tmp_path)
    assert sources.task == "regression" and sources.target_names == ("y",)
    assert sources.targets is not None
    np.testing.assert_allclose(sources.targets[:, 0], angles, rtol=1e-6)


@pytest.mark.parametrize(
    "arrays",
    [
        {"x": np.random.default_rng(0).normal(size=(30, 6)), "y": LABELS},
        {"x": np.random.default_rng(0).normal(size=(30, 128, 9)), "y": LABELS},
        {"acceleration": np.random.default_rng(0).normal(size=(30, 20, 20)), "y": LABELS},
        {"embedding": np.random.default_rng(0).random((30, 1024)), "y": LABELS},
        {"kernel": np.random.default_rng(0).normal(size=(7, 7, 3, 30)), "bias": np.zeros(30)},
        {"labels": LABELS, "other_labels": LABELS},
    ],
)
def test_measurements_are_no_images(tmp_path: Path, arrays: dict[str, Any]) -> None:
    write_arrays(tmp_path / "signals.npz", **arrays)
    assert [part for part in find(tmp_path) if part.images] == []
    with pytest.raises(DataError):
        collect(tmp_path)


def test_measurements_that_are_called_inputs_are_refused(tmp_path: Path) -> None:
    values = np.random.default_rng(0).random((30, 64))
    write_arrays(tmp_path / "table.npz", X=values, y=LABELS)
    with pytest.raises(MisuseError, match="may be measurements"):
        collect(tmp_path)


def test_a_fourth_channel_is_a_question(tmp_path: Path) -> None:
    write_arrays(tmp_path / "a.npz", images=pictures(30, 9, 12, 4), labels=LABELS)
    with pytest.raises(MisuseError, match=r"4 channels, [^\n]*\n  --alpha drop"):
        collect(tmp_path)
    images = images_of(collect(tmp_path, alpha="drop")[0])
    np.testing.assert_array_equal(images, pictures(30, 9, 12, 4)[..., :3])


def test_lengths_that_disagree(tmp_path: Path) -> None:
    write_arrays(tmp_path / "train_images.npy", GRAY)
    write_arrays(tmp_path / "train_labels.npy", LABELS[:-1])
    with pytest.raises(DataError, match=r"\(30, 9, 12\), and train_labels.npy has 29 labels"):
        collect(tmp_path)


@pytest.mark.parametrize("which", ["images", "labels"])
def test_python_objects_are_refused_by_name(tmp_path: Path, which: str) -> None:
    arrays: dict[str, Any] = {"images": GRAY, "labels": LABELS}
    arrays[which] = np.array([*arrays[which], None], object)[:-1]
    write_arrays(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=rf"a\.npz.* {which} holds Python objects"):
        collect(tmp_path)


def test_a_pickled_dictionary_is_refused_by_name(tmp_path: Path) -> None:
    write_arrays(tmp_path / "batch.npy", np.array({"data": GRAY}))
    with pytest.raises(DataError, match=r"batch\.npy: .*holds Python objects"):
        collect(tmp_path)


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_files_that_are_cut_off(tmp_path: Path, suffix: str) -> None:
    path = write_arrays(tmp_path / f"train_images{suffix}", GRAY)
    write_arrays(tmp_path / f"train_labels{suffix}", LABELS)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=rf"train_images\{suffix}"):
        collect(tmp_path)
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(DataError, match=rf"train_images\{suffix}.* Git LFS pointer"):
        collect(tmp_path)


def test_images_without_any_labels(tmp_path: Path) -> None:
    write_arrays(tmp_path / "train_images.npy", GRAY)
    with pytest.raises(DataError, match=r"train_images.npy has 30 images, but no labels"):
        collect(tmp_path)


def test_labels_of_minus_one(tmp_path: Path) -> None:
    arrays = {"x_train": GRAY, "y_train": LABELS, "x_test": GRAY, "y_test": np.full(30, -1)}
    write_arrays(tmp_path / "a.npz", **arrays)
    sources, labeled = collect(tmp_path)
    assert labeled.tolist() == [True] * 30 + [False] * 30 and sources.classes == ("0", "1", "2")
    write_arrays(tmp_path / "a.npz", images=GRAY, labels=np.where(LABELS == 2, -1, LABELS))
    with pytest.raises(DataError, match=r"a\.npz labels row .* has the label -1 \(10 rows in all"):
        collect(tmp_path)
    write_arrays(tmp_path / "a.npz", images=GRAY, labels=np.where(LABELS == 2, -1, 1))
    assert set(labels_of(collect(tmp_path)[0])) == {"-1", "1"}


def test_positions_are_no_classes(tmp_path: Path) -> None:
    write_arrays(tmp_path / "a.npz", images=GRAY, labels=np.arange(120).reshape(30, 4))
    with pytest.raises(MisuseError, match=r"4 whole numbers .*\n  --task regression"):
        collect(tmp_path)
    assert collect(tmp_path, task="regression")[0].task == "regression"


def test_names_that_say_nothing(tmp_path: Path) -> None:
    write_arrays(tmp_path / "fdata.npy", RGB)
    write_arrays(tmp_path / "fanswers.npy", LABELS)
    assert labels_of(collect(tmp_path)[0]) == TEXTS
    classes = np.array(["cat", "dog", "frog"])
    write_arrays(tmp_path / "a.npz", x_train=RGB, y_train=LABELS, x_test=RGB[:3], names=classes)
    (tmp_path / "fdata.npy").unlink()
    assert collect(tmp_path)[1].sum() == 30


def test_unnamed_arrays_of_two_splits_are_a_question(tmp_path: Path) -> None:
    write_arrays(tmp_path / "a.npz", GRAY, LABELS, GRAY[:20], LABELS[:20])
    with pytest.raises(
        MisuseError, match=r"arr_0  \(30 images, 3 classes\)\n  --image-column arr_2"
    ):
        collect(tmp_path)
    assert len(collect(tmp_path, image_column="arr_2")[0]) == 20


@pytest.mark.parametrize("layout", ["interleaved", "planar"])
def test_rows_of_colors(tmp_path: Path, layout: str) -> None:
    images = pictures(30, 8, 8, 3)
    rows = images if layout == "interleaved" else images.transpose(0, 3, 1, 2)
    write_arrays(tmp_path / "batch.npz", data=rows.reshape(30, -1), labels=LABELS)
    sources, _ = collect(tmp_path, pixel_layout=layout)
    np.testing.assert_array_equal(images_of(sources), images)
    assert f"are read as {layout}" in sources.notes[0] and "--pixel-layout" in sources.notes[0]
