"""Shards that change before or under a job end it with a sentence that names them."""

import os
import shutil
from pathlib import Path

import pytest

from pipeline.errors import DataError
from tests.helpers.loaders import loader_of, taken


@pytest.fixture
def copied(digits_shards: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(digits_shards, tmp_path / "shards"))


def first_tar(shards: Path) -> Path:
    return sorted(shards.glob("train-*.tar"))[0]


def test_a_shard_of_another_size_is_refused_at_the_start(copied: Path) -> None:
    os.truncate(first_tar(copied), 1024)
    with pytest.raises(DataError, match=r"train-000000\.tar is 1024 bytes long"):
        loader_of(copied)


def test_a_shard_cut_off_under_the_job_is_named(copied: Path) -> None:
    loader = loader_of(copied)
    os.truncate(first_tar(copied), 1024)
    with pytest.raises(DataError, match=r"sample \d{9} of .*train-000000\.tar is cut off"):
        taken(loader, 1)


def test_a_shard_deleted_under_the_job_is_named(copied: Path) -> None:
    loader = loader_of(copied)
    first_tar(copied).unlink()
    with pytest.raises(DataError, match=r"train-000000\.tar can't be read \(No such file"):
        taken(loader, 1)
