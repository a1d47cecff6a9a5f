"""Shards that are changed before or during a run stop it with an error that names them."""

import os
from pathlib import Path

import pytest

from pipeline.errors import DataError
from tests.helpers.loaders import build_loader, collect


def first_tar(shards: Path) -> Path:
    return sorted(shards.glob("train-*.tar"))[0]


def test_a_shard_of_another_size_is_rejected_at_the_start(copied_shards: Path) -> None:
    os.truncate(first_tar(copied_shards), 1024)
    with pytest.raises(DataError, match=r"train-000000\.tar is 1024 bytes long"):
        build_loader(copied_shards)


def test_the_error_names_a_shard_truncated_during_the_run(copied_shards: Path) -> None:
    loader = build_loader(copied_shards)
    os.truncate(first_tar(copied_shards), 1024)
    with pytest.raises(DataError, match=r"sample \d{9} of .*train-000000\.tar is cut off"):
        collect(loader, 1)


def test_the_error_names_a_shard_deleted_during_the_run(copied_shards: Path) -> None:
    loader = build_loader(copied_shards)
    first_tar(copied_shards).unlink()
    with pytest.raises(DataError, match=r"train-000000\.tar can't be read \(No such file"):
        collect(loader, 1)
