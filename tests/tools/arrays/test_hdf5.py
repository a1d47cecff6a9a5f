"""Images in HDF5 files; without h5py the error says what to install."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import DataError
from tests.helpers.array_downloads import (
    classes_of,
    collect,
    find,
    images_of,
    labels_of,
    pictures,
    splits_of,
    zipped,
)

RGB, LABELS = pictures(30, 9, 12, 3), classes_of(30)
TEXTS = [str(label) for label in LABELS.tolist()]


def write(path: Path, **datasets: Any) -> Path:
    h5py = pytest.importorskip("h5py")
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, values in datasets.items():
            file.create_dataset(name.replace("__", "/"), data=values)
    return path


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("last", [False, True])
def test_a_file_a_split(tmp_path: Path, packed: bool, last: bool) -> None:
    folder = tmp_path / "download"
    images = RGB.transpose(1, 2, 3, 0) if last else RGB
    names = [b"cat", b"dog", b"frog", b"newt"]
    write(folder / "train_cats.h5", train_set_x=images, train_set_y=LABELS, list_classes=names)
    write(folder / "test_cats.h5", test_set_x=images, test_set_y=LABELS, list_classes=names)
    sources, labeled = collect(zipped(folder) if packed else folder)
    np.testing.assert_array_equal(images_of(sources), np.concatenate([RGB, RGB]))
    assert labels_of(sources)[:30] == [names[n].decode() for n in LABELS.tolist()]
    assert splits_of(sources) == ["train"] * 30 + ["test"] * 30 and labeled.all()


def test_groups_and_texts_of_any_length(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    texts = np.array(["cat", "großer Hund", "frog"], object)[LABELS]
    write(tmp_path / "a.hdf5", train__images=RGB / 255)
    with h5py.File(tmp_path / "a.hdf5", "a") as file:
        file.create_dataset("train/labels", data=texts, dtype=h5py.string_dtype())
    sources, _ = collect(tmp_path)
    np.testing.assert_array_equal(images_of(sources), RGB)
    assert labels_of(sources) == texts.tolist()


def test_a_file_for_images_and_one_for_labels(tmp_path: Path) -> None:
    for split in ("train", "valid", "test"):
        write(tmp_path / f"camelyon_level_2_split_{split}_x.h5", x=RGB)
        write(tmp_path / f"camelyon_level_2_split_{split}_y.h5", y=LABELS.reshape(30, 1, 1, 1))
    sources, _ = collect(tmp_path)
    assert splits_of(sources) == ["train"] * 30 + ["val"] * 30 + ["test"] * 30
    assert labels_of(sources) == TEXTS * 3


def test_the_weights_of_a_network_are_no_images(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    kernel, bias = rng.normal(size=(7, 7, 3, 64)), rng.normal(size=64)
    write(tmp_path / "model.h5", conv__kernel=kernel, conv__bias=bias, dense__kernel=kernel[0, 0])
    (part,) = find(tmp_path)
    assert part.images == 0
    with pytest.raises(DataError, match=r"model\.h5: no array has the shape, type and values"):
        part.describe()


@pytest.mark.parametrize("damage", [lambda data: data[:2000], lambda data: b"<html>404</html>"])
def test_damaged_files(tmp_path: Path, damage: Any) -> None:
    path = write(tmp_path / "train_signs.h5", x=RGB, y=LABELS)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=r"train_signs\.h5: it is (an|no) HDF5 file"):
        collect(tmp_path)


def test_without_h5py(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "signs.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(DataError, match=r"signs\.h5: it is an HDF5 file.*pip install .*\[hdf5\]"):
        collect(tmp_path)
    np.savez(tmp_path / "a.npz", images=RGB, labels=LABELS)
    sources, _ = collect(tmp_path)
    assert labels_of(sources) == TEXTS and "Not read: signs.h5 (it is an" in sources.notes[0]


def test_values_in_other_files_are_refused(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    (tmp_path / "secret").write_bytes(RGB.tobytes())
    with h5py.File(tmp_path / "a.h5", "w") as file:
        external = [(str(tmp_path / "secret"), 0, RGB.nbytes)]
        file.create_dataset("images", RGB.shape, np.uint8, external=external)
        file["labels"] = LABELS
    with pytest.raises(DataError, match=r"a\.h5 images keeps its values in other files"):
        collect(tmp_path)
