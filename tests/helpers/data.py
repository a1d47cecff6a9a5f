"""Archives of real images, and shards made in this process."""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

ARCHIVES = Path(os.environ.get("SHARDLINE_DATA", Path(__file__).parents[3] / "shared" / "data"))


def archive_of(name: str) -> Path:
    """That of real images; the test is skipped where it is absent."""
    found = sorted(ARCHIVES.glob(f"{name}.tar*"))
    if not found:
        pytest.skip(f"needs {name}.tar* in {ARCHIVES}")
    return found[0]


def make_shards(source: Path, out: Path, *arguments: str) -> Path:
    """Run tools/shard in this process."""
    from tools.cli import main

    result = CliRunner().invoke(main, ["--src", str(source), "--out", str(out), *arguments])
    assert result.exit_code == 0, result.output
    return out
