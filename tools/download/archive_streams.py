"""Streams over a part of an archive: its stored bytes, or what they inflate to."""

import io
import os
import zlib
from typing import IO, BinaryIO


def inflated(file: BinaryIO, start: int, stored_bytes: int, *, stored: bool) -> IO[bytes]:
    """Stream the contents of the member whose bytes begin at `start`; closes `file` at the end."""
    member = Slice(file, start, stored_bytes, owned=True)
    return io.BufferedReader(member if stored else _Inflated(member), 2**20)


class _Reader(io.RawIOBase):
    """A readable stream over `file`, which it closes if it is `owned`."""

    def __init__(self, file: BinaryIO | io.RawIOBase, *, owned: bool) -> None:
        self._file, self._owned = file, owned

    def close(self) -> None:
        if self._owned:
            self._file.close()
        super().close()

    def readable(self) -> bool:
        return True


class Slice(_Reader):
    """Bytes [start, start + size) of `file` as a seekable file."""

    def __init__(self, file: BinaryIO, start: int, size: int, *, owned: bool = False) -> None:
        super().__init__(file, owned=owned)
        self._start, self._size, self._position = start, size, 0

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = max(0, origin + offset)
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        self._file.seek(self._start + self._position)
        data = self._file.read(min(len(buffer), max(0, self._size - self._position))) or b""
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


class _Inflated(_Reader):
    """The inflated bytes of a deflated stream, from start to end; closes `packed`."""

    def __init__(self, packed: io.RawIOBase) -> None:
        super().__init__(packed, owned=True)
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = b""
        while not data and not self._inflater.eof:
            packed = self._inflater.unconsumed_tail or self._file.read(2**16)
            try:
                data = self._inflater.decompress(packed or b"", len(buffer))
            except zlib.error as error:
                raise OSError(0, f"the zip is damaged here: {error}") from error
            if not packed and not data:
                raise OSError(0, "the zip is cut off here")
        buffer[: len(data)] = data
        return len(data)
