"""Open a shard directory, which must be complete."""

from pathlib import Path

from pipeline.errors import DataError
from pipeline.storage.dataset import Dataset
from pipeline.storage.manifest import MANIFEST_NAME
from tools.writing.output_folder import UNFINISHED


def open_shards(directory: Path) -> Dataset:
    """Open a complete shard directory; raises ``DataError`` for others."""
    manifest = directory / MANIFEST_NAME
    if (directory / UNFINISHED).exists() and not manifest.exists():
        raise DataError(
            f"{directory} is not complete: tools/shard is still running or was interrupted. Run it "
            f"again with the same arguments."
        )
    return Dataset(directory)
