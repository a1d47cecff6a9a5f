"""Small downloads made by code, and what tools/shard reads in them."""

import io
import zipfile
from pathlib import Path
from typing import Any

from tools.config import ShardConfig
from tools.download.collect import gather_files
from tools.download.detect import find_parts
from tools.download.file_index import index_files
from tools.download.sources import Sources


def download(folder: Path, files: dict[str, str]) -> Path:
    """Files by relative path; the bytes of images are not looked at here."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    return folder


def gather(folder: Path, **arguments: Any) -> Sources:
    config = ShardConfig(src=str(folder), out=str(folder / "out"), **arguments)
    index = index_files(str(folder), images=config.images)
    parts = find_parts(index, config)
    return gather_files(parts, index)  # type: ignore[arg-type]


def labeled(sources: Sources) -> dict[str, str]:
    return {
        name: sources.classes[label]
        for name, label in zip(sources.names, sources.labels, strict=True)
    }


def packed(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()
