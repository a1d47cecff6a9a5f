"""Zip archives, read in place: where each member's bytes lie in the file that holds them.

A zip that is stored in a zip is a stretch of the outer file. One that is compressed in it is
unpacked into memory, which other processes of this machine open through /proc.
"""

import io
import os
import shutil
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, BinaryIO

from tools.download.storage import Refusal

STORED, DEFLATED = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
# Zips in zips in zips; some are made to have no end.
MAX_DEPTH = 4
_ENCRYPTED = 0x1
LOCAL_HEADER_BYTES = 30
_LOCAL_HEADER = struct.Struct("<4s22xHH")
# What ``zipfile`` raises over damaged bytes, beside ``OSError`` for a place before the beginning.
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
    """A member can't be unpacked; the text says why."""


@dataclass(frozen=True)
class Member:
    """`path`: as in the index, "outer.zip/folder/name"; `file`: the file that holds it, and
    `offset` its local header's there; sizes in bytes, `stored_bytes` as compressed."""

    path: str
    file: str
    offset: int
    stored_bytes: int
    size_bytes: int
    method: int
    crc32: int


def members(file: BinaryIO, path: str) -> Iterator[Member | Refusal]:
    """The members of the zip at `path`, also of zips in it; what can't be read is refused."""
    yield from _members(file, path, holder=path, base=0, depth=1)


def unpack(stored: bytes, method: int, size_bytes: int, crc32: int) -> bytes:
    """A member's contents of what is stored; raises ``DamagedMemberError``. Never makes more than
    `size_bytes`, whatever the data would inflate to."""
    if method == STORED:
        data = stored
    else:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            data = inflater.decompress(stored, size_bytes + 1)
        except zlib.error as error:
            raise DamagedMemberError(f"the zip is damaged here: {error}") from error
    if len(data) != size_bytes or zlib.crc32(data) != crc32:
        raise DamagedMemberError("the zip is damaged here: size or checksum differ")
    return data


def data_offset(local_header: bytes, offset: int) -> int:
    """Where a member's stored bytes begin, by the 30 bytes at `offset`; raises
    ``DamagedMemberError``."""
    if len(local_header) == LOCAL_HEADER_BYTES:
        signature, name_bytes, extra_bytes = _LOCAL_HEADER.unpack(local_header)
        if signature == b"PK\x03\x04":
            return int(offset + LOCAL_HEADER_BYTES + name_bytes + extra_bytes)
    raise DamagedMemberError("the zip is damaged here: the member's header is missing")


def inflated(file: BinaryIO, start: int, stored_bytes: int, *, stored: bool) -> IO[bytes]:
    """A member's contents as a stream, of what is stored from `start` on; it closes `file`."""
    stretch = _Stretch(file, start, stored_bytes, owned=True)
    return io.BufferedReader(stretch if stored else _Inflated(stretch), 2**20)


def _members(
    file: BinaryIO, path: str, *, holder: str, base: int, depth: int
) -> Iterator[Member | Refusal]:
    try:
        archive = zipfile.ZipFile(file)
    except _UNREADABLE as error:
        yield Refusal(path, f"not a zip that can be read ({error}); is the download complete?")
        return
    for info in archive.infolist():
        inner = f"{path}/{info.filename.replace(chr(92), '/')}"
        if info.is_dir() or "__MACOSX/" in inner or "/." in inner.replace("/..", ""):
            continue
        if problem := _problem(info):
            yield Refusal(inner, problem)
        elif not inner.lower().endswith(".zip"):
            yield Member(
                path=inner,
                file=holder,
                offset=base + info.header_offset,
                stored_bytes=info.compress_size,
                size_bytes=info.file_size,
                method=info.compress_type,
                crc32=info.CRC,
            )
        elif depth == MAX_DEPTH:
            yield Refusal(inner, f"a zip in {depth} others")
        else:
            yield from _nested(archive, info, file, inner, holder=holder, base=base, depth=depth)


def _nested(
    archive: zipfile.ZipFile,
    info: zipfile.ZipInfo,
    file: BinaryIO,
    path: str,
    *,
    holder: str,
    base: int,
    depth: int,
) -> Iterator[Member | Refusal]:
    if info.compress_type == STORED:
        file.seek(info.header_offset)
        try:
            start = data_offset(file.read(LOCAL_HEADER_BYTES), info.header_offset)
        except DamagedMemberError as error:
            yield Refusal(path, str(error))
            return
        stretch = io.BufferedReader(_Stretch(file, start, info.file_size))
        yield from _members(
            stretch,
            path,
            holder=holder,
            base=base + start,
            depth=depth + 1,
        )
    elif info.file_size > _free_bytes() // 2:
        yield Refusal(path, "a compressed zip in a zip, larger than half the memory: unzip it once")
    else:
        memory = os.memfd_create("zip")
        with open(memory, "wb", closefd=False) as out:
            try:
                with archive.open(info) as packed:
                    shutil.copyfileobj(packed, out, 2**20)
            except _UNREADABLE as error:
                os.close(memory)
                yield Refusal(path, f"the zip is damaged here: {error}")
                return
        # The descriptor stays open as long as the process lives: it is the file.
        holder = f"/proc/{os.getpid()}/fd/{memory}"
        with open(holder, "rb") as unpacked:  # noqa: PTH123
            yield from _members(unpacked, path, holder=holder, base=0, depth=depth + 1)


def _problem(info: zipfile.ZipInfo) -> str | None:
    name = info.filename.replace("\\", "/")
    if name.startswith("/") or ".." in PurePosixPath(name).parts or name[1:2] == ":":
        return "its name leaves the archive"
    if info.flag_bits & _ENCRYPTED:
        return "encrypted: unzip it with its password first"
    if info.compress_type not in (STORED, DEFLATED):
        return f"compressed by method {info.compress_type} of zip: unzip it first"
    return None


def _free_bytes() -> int:
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


class _Stretch(io.RawIOBase):
    """Bytes [start, start + size) of `file` as a file; it closes `file` if that is `owned`."""

    def __init__(self, file: BinaryIO, start: int, size: int, *, owned: bool = False) -> None:
        self._file, self._start, self._size, self._at = file, start, size, 0
        self._owned = owned

    def close(self) -> None:
        if self._owned:
            self._file.close()
        super().close()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, origin + offset)
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        self._file.seek(self._start + self._at)
        data = self._file.read(min(len(buffer), max(0, self._size - self._at)))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


class _Inflated(io.RawIOBase):
    """Deflated bytes as what they inflate to, from beginning to end; it closes `packed`."""

    def __init__(self, packed: io.RawIOBase) -> None:
        self._packed = packed
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)

    def close(self) -> None:
        self._packed.close()
        super().close()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = b""
        while not data and not self._inflater.eof:
            packed = self._inflater.unconsumed_tail or self._packed.read(2**16)
            try:
                data = self._inflater.decompress(packed or b"", len(buffer))
            except zlib.error as error:
                raise OSError(0, f"the zip is damaged here: {error}") from error
            if not packed and not data:
                raise OSError(0, "the zip is cut off here")
        buffer[: len(data)] = data
        return len(data)
