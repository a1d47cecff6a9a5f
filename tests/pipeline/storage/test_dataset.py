"""Dataset reads the manifest and the index, and rejects damaged ones."""

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import DataError
from pipeline.storage.dataset import Dataset
from pipeline.storage.manifest import MANIFEST_NAME, SAMPLE_DTYPE
from pipeline.storage.manifest_parsing import parse_manifest
from tests.helpers.handmade import sealed, sums


def edit_manifest(shards: Path, **changes: object) -> Path:
    path = shards / MANIFEST_NAME
    path.write_bytes(sealed(json.loads(path.read_text()) | changes))
    return path


def test_a_manifest_round_trips_through_json(digits_shards: Path) -> None:
    manifest = Dataset(digits_shards).manifest
    again = parse_manifest(manifest.to_json().encode(), origin=digits_shards)
    assert again == manifest
    assert again.to_json() == (digits_shards / MANIFEST_NAME).read_text()


def test_an_index_row_is_36_bytes() -> None:
    assert SAMPLE_DTYPE.itemsize == 36


def test_a_folder_without_shards_says_how_to_make_them(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no complete shards.*tools/shard --src kaggle/ --out"):
        Dataset(tmp_path / "shards")


def test_another_version_is_rejected(copied_shards: Path) -> None:
    path = edit_manifest(copied_shards, version=99)
    with pytest.raises(DataError, match=f"{path} has format version 99"):
        Dataset(copied_shards)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"version": 2}', "\udcff"])
def test_a_file_that_is_no_manifest_is_rejected(copied_shards: Path, text: str) -> None:
    (copied_shards / MANIFEST_NAME).write_text(text, errors="surrogateescape")
    with pytest.raises(DataError, match="not a manifest that tools/shard wrote"):
        Dataset(copied_shards)


def test_the_error_of_an_unknown_split_lists_the_splits(digits_shards: Path) -> None:
    with pytest.raises(DataError, match="no split 'test', only: train, val"):
        Dataset(digits_shards).split("test")


def test_a_missing_tar_is_rejected(copied_shards: Path) -> None:
    (copied_shards / "val-000000.tar").unlink()
    with pytest.raises(DataError, match=r"val-000000\.tar can't be read \(No such file"):
        Dataset(copied_shards).split("val")


def test_an_index_of_another_length_is_rejected(copied_shards: Path) -> None:
    path = copied_shards / "val.samples.npy"
    np.save(path, np.load(path)[:-1])
    with pytest.raises(DataError, match=r"val\.samples\.npy is damaged or cut off"):
        _ = Dataset(copied_shards).split("val").samples
    path.write_bytes(b"")
    edit_manifest(copied_shards, files=sums(copied_shards))
    with pytest.raises(DataError, match=r"val\.samples\.npy does not fit the 180 samples"):
        _ = Dataset(copied_shards).split("val").samples
