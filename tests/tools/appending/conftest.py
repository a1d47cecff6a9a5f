"""A download and its shards, to which tests append."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers import growing
from tests.helpers.growing import grow
from tests.helpers.shard_runs import made


@pytest.fixture(scope="module")
def inline_workers() -> Iterator[None]:
    """Runs in this module start no worker processes."""
    with growing.inline_workers():
        yield


@pytest.fixture(scope="module")
def first(inline_workers: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`src`, images 0 to 23 of two classes, and their shards in `out`."""
    folder = tmp_path_factory.mktemp("first")
    made(grow(folder / "src", range(24)), folder / "out", "--workers", "1")
    return folder


@pytest.fixture
def grown(first: Path, tmp_path: Path) -> Path:
    """A copy of `first`."""
    return Path(shutil.copytree(first, tmp_path / "grown"))
