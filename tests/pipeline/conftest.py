import shutil
from pathlib import Path

import pytest


@pytest.fixture
def copied_shards(digits_shards: Path, tmp_path: Path) -> Path:
    """A copy of the digits' shards that the test may change."""
    return Path(shutil.copytree(digits_shards, tmp_path / "shards"))
