"""Zip archives, read in place: the offset of each member's bytes in the file that holds them.

A zip that is stored in a zip is a range of the outer file. A zip that is compressed in a zip is
unpacked into memory, which other processes of this machine open through /proc.
"""

import io
import os
import shutil
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import IO, BinaryIO

from tools.download.storage import LeftOut, SkippedFile, find_left_out
from tools.download.zip_names import member_names

STORED, DEFLATED = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
# Zips in zips in zips; some archives nest without end on purpose.
MAX_DEPTH = 4
_ENCRYPTED = 0x1
LOCAL_HEADER_BYTES = 30
_LOCAL_HEADER = struct.Struct("<4s22xHH")
# Raised by ``zipfile`` for damaged bytes, besides ``OSError`` for a seek before the start.
_UNREADABLE = (
    zipfile.BadZipFile,
    NotImplementedError,
    EOFError,
    OverflowError,
    RuntimeError,
    ValueError,
    struct.error,
    zlib.error,
)


class DamagedMemberError(Exception):
    """A member can't be unpacked; the text gives the reason."""


@dataclass(frozen=True)
class Member:
    """A file in a zip.

    `path` is its path in the index, "outer.zip/folder/name"; `archive` the file that holds its
    bytes, and `offset` the position of its local header there. `stored_bytes` is its compressed
    size.
    """

    path: str
    archive: str
    offset: int
    stored_bytes: int
    size_bytes: int
    method: int
    crc32: int


def members(
    file: BinaryIO, path: str, *, archive: str | None = None
) -> Iterator[Member | SkippedFile | LeftOut]:
    """The members of the zip at `path` and of zips in it; unreadable ones as ``SkippedFile``.
    `archive`: the file that holds its bytes, if that is another one. See ``zip_names`` for names
    that are not UTF-8."""
    yield from _members(file, path, archive=archive or path, base=0, depth=1)


def unpack(stored: bytes, method: int, size_bytes: int, crc32: int) -> bytes:
    """Unpack a member's `stored` bytes; raises ``DamagedMemberError``.

    Never makes more than `size_bytes` bytes, whatever the data would inflate to.
    """
    data = stored
    if method != STORED:
        try:
            data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(stored, size_bytes + 1)
        except zlib.error as error:
            raise DamagedMemberError(f"the zip is damaged here: {error}") from error
    if len(data) != size_bytes or zlib.crc32(data) != crc32:
        raise DamagedMemberError("the zip is damaged here: size or checksum differ")
    return data


def data_offset(local_header: bytes, offset: int) -> int:
    """Position of a member's stored bytes, from the 30 header bytes at `offset`; raises
    ``DamagedMemberError``."""
    if len(local_header) == LOCAL_HEADER_BYTES:
        signature, name_bytes, extra_bytes = _LOCAL_HEADER.unpack(local_header)
        if signature == b"PK\x03\x04":
            return int(offset + LOCAL_HEADER_BYTES + name_bytes + extra_bytes)
    raise DamagedMemberError("the zip is damaged here: the member's header is missing")


def inflated(file: BinaryIO, start: int, stored_bytes: int, *, stored: bool) -> IO[bytes]:
    """Stream the contents of the member whose bytes begin at `start`; closes `file` at the end."""
    member = _Slice(file, start, stored_bytes, owned=True)
    return io.BufferedReader(member if stored else _Inflated(member), 2**20)


def _members(
    file: BinaryIO, path: str, *, archive: str, base: int, depth: int
) -> Iterator[Member | SkippedFile | LeftOut]:
    """`file` begins at the byte `base` of the file `archive`."""
    try:
        contents = zipfile.ZipFile(file)
    except _UNREADABLE as error:
        yield SkippedFile(path, f"not a readable zip ({error}); is the download complete?")
        return
    infos = contents.infolist()
    for info, name in zip(infos, member_names(infos), strict=True):
        inner = f"{path}/{name}"
        if info.is_dir():
            continue
        if (left_out := find_left_out(name)) is not None:
            yield replace(left_out, path=f"{path}/{left_out.path}")
            continue
        is_zip = inner.lower().endswith(".zip")
        if problem := _problem(info, name) or (_nesting_problem(info, depth) if is_zip else None):
            yield SkippedFile(inner, problem)
        elif is_zip:
            try:
                stream, holder, start = _open_nested(contents, info, file, archive, base)
            except DamagedMemberError as error:
                yield SkippedFile(inner, str(error))
            else:
                yield from _members(stream, inner, archive=holder, base=start, depth=depth + 1)
        else:
            yield Member(
                path=inner,
                archive=archive,
                offset=base + info.header_offset,
                stored_bytes=info.compress_size,
                size_bytes=info.file_size,
                method=info.compress_type,
                crc32=info.CRC,
            )


def _open_nested(
    contents: zipfile.ZipFile, info: zipfile.ZipInfo, file: BinaryIO, archive: str, base: int
) -> tuple[BinaryIO, str, int]:
    """A zip in a zip as a stream, the file that holds its bytes, and their offset there."""
    if info.compress_type == STORED:
        file.seek(info.header_offset)
        start = data_offset(file.read(LOCAL_HEADER_BYTES), info.header_offset)
        return io.BufferedReader(_Slice(file, start, info.file_size)), archive, base + start
    # The descriptor stays open until the process ends, since closing it deletes the file.
    descriptor = os.memfd_create("zip")
    stream = open(descriptor, "w+b", closefd=False)  # noqa: SIM115
    try:
        with contents.open(info) as packed:
            shutil.copyfileobj(packed, stream, 2**20)
    except _UNREADABLE as error:
        os.close(descriptor)
        raise DamagedMemberError(f"the zip is damaged here: {error}") from error
    stream.flush()
    return stream, f"/proc/{os.getpid()}/fd/{descriptor}", 0


def _problem(info: zipfile.ZipInfo, name: str) -> str | None:
    """Why a member can't be read in place."""
    name = name.replace("\\", "/")
    if name.startswith("/") or ".." in PurePosixPath(name).parts or name[1:2] == ":":
        return "its name points out of the archive"
    if info.flag_bits & _ENCRYPTED:
        return "encrypted: unzip it with its password first"
    if info.compress_type not in (STORED, DEFLATED):
        return f"compressed by method {info.compress_type} of zip: unzip it first"
    return None


def _nesting_problem(info: zipfile.ZipInfo, depth: int) -> str | None:
    """Why a zip in a zip can't be read in place."""
    free_bytes = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if depth == MAX_DEPTH:
        return f"a zip in {depth} other zips: unzip the outer ones first"
    if info.compress_type != STORED and info.file_size > free_bytes // 2:
        return "a compressed zip in a zip, larger than half of the free memory: unzip it first"
    return None


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


class _Slice(_Reader):
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
