"""Files of a download as seekable streams, also those in compressed zips."""

import shutil
import tempfile
import weakref
from pathlib import Path
from typing import IO

from pipeline.errors import DataError
from tools.download.file_index import FileIndex
from tools.images.non_images import describe_non_image


class UnreadableArrayError(Exception):
    """A file or an array in it can't be read; the text gives the reason."""


class SeekableFiles:
    """Opens files of `index`. A member of a compressed zip is unpacked once, into a temporary file
    that exists as long as this object."""

    def __init__(self, index: FileIndex) -> None:
        self.index = index
        self._unpacked: dict[str, IO[bytes]] = {}

    def open(self, path: str) -> IO[bytes]:
        """A stream with a position of its own; raises ``DataError``."""
        if path not in self._unpacked:
            stream = self.index.open(path)
            if stream.seekable():
                return stream
            self._unpacked[path] = file = _unpack(stream, path)
            weakref.finalize(self, file.close)
        return Path(f"/proc/self/fd/{self._unpacked[path].fileno()}").open("rb")

    def start_of(self, path: str, size_bytes: int) -> bytes:
        """The first bytes of a file."""
        with self.index.open(path) as stream:
            return stream.read(size_bytes)


def require_magic(files: SeekableFiles, path: str, magic: bytes, kind: str) -> None:
    """Raise ``UnreadableArrayError`` with what the file is instead, unless it begins with
    `magic`."""
    start = files.start_of(path, 4096)
    if not start.startswith(magic):
        raise UnreadableArrayError(f"it is no {kind}: {describe_non_image(start)}")


def _unpack(stream: IO[bytes], path: str) -> IO[bytes]:
    file = tempfile.TemporaryFile(prefix="shardline-")  # noqa: SIM115
    try:
        with stream:
            shutil.copyfileobj(stream, file, 2**20)
    except OSError as error:
        raise DataError(f"{path} can't be unpacked: {error.strerror or error}.") from error
    file.flush()
    return file
