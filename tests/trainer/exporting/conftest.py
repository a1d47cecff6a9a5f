"""What the tests of ``trainer.export`` share."""

from pathlib import Path

import pytest

from tests.helpers.exports import TASKS
from tests.helpers.handmade import write_splits


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """<task>/shards of each task."""
    folder = tmp_path_factory.mktemp("export")
    for task, columns in TASKS.items():
        write_splits(folder / task / "shards", task, samples={"train": 8, "val": 9}, **columns)
    return folder
