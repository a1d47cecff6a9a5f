"""Small downloads, and the sources that tools/shard collects."""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tools.config import ShardConfig
from tools.download.file_index import index_files
from tools.download.sources import Sources
from tools.readings import detect


def download(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write files by relative path; image files may have any bytes."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
    return folder


def collect(folder: Path, **arguments: Any) -> Sources:
    """The sources of the folder with these options."""
    config = ShardConfig(src=str(folder), out=str(folder / "out"), **arguments)
    index = index_files(str(folder), images=config.images, zip_encoding=config.zip_encoding)
    return detect.collect(index, detect.detect(index, config))


def labeled(sources: Sources) -> dict[str, str]:
    """The label of each file that has one."""
    return {
        name: sources.classes[label]
        for name, label in zip(sources.names, sources.labels, strict=True)
        if label >= 0
    }


def packed(files: Mapping[str, str | bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip of the files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()
