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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO

from tools.download.archive_streams import Slice
from tools.download.budget import MAX_FILES, Budget, path_problem
from tools.download.storage import LeftOut, SkippedFile, find_left_out
from tools.download.zip_names import member_names

STORED, DEFLATED = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
# Zips in zips in zips; some archives nest without end on purpose.
MAX_DEPTH = 4
_ENCRYPTED = 0x1
LOCAL_HEADER_BYTES = 30
# Enough to know any format of images.
START_BYTES = 2**16
_LOCAL_HEADER = struct.Struct("<4s22xHH")
# Of an entry of the directory, without its name.
_ENTRY_BYTES = 46
_DIRECTORY_BYTES = 5  # field of zipfile's end record
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
    file: BinaryIO, path: str, *, archive: str | None = None, budget: Budget | None = None
) -> Iterator[Member | SkippedFile | LeftOut]:
    """The members of the zip at `path` and of zips in it; unreadable ones as ``SkippedFile``.
    `archive`: the file that holds its bytes, if that is another one. `budget`: of the whole
    download. See ``zip_names`` for names that are not UTF-8."""
    budget = budget or Budget()
    yield from _members(file, path, budget, archive=archive or path, base=0, depth=1)


def unpack(
    stored: bytes,
    method: int,
    size_bytes: int,
    crc32: int,
    refuse: Callable[[bytes], str | None] = lambda start: None,
) -> bytes:
    """Unpack a member's `stored` bytes; raises ``DamagedMemberError``.

    Never makes more than `size_bytes` bytes, whatever the data would inflate to, and no more than
    the first if `refuse`, which is called with them, gives a reason.
    """
    data = stored
    if method != STORED:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            data = inflater.decompress(stored, min(START_BYTES, size_bytes + 1))
            if len(data) == START_BYTES:
                if (reason := refuse(data)) is not None:
                    raise DamagedMemberError(reason)
                rest = size_bytes + 1 - len(data)
                data += inflater.decompress(inflater.unconsumed_tail, rest) if rest > 0 else b""
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


def _members(
    file: BinaryIO, path: str, budget: Budget, *, archive: str, base: int, depth: int
) -> Iterator[Member | SkippedFile | LeftOut]:
    """`file` begins at the byte `base` of the file `archive`."""
    try:
        contents = _open(file)
    except DamagedMemberError as error:
        yield SkippedFile(path, str(error))
        return
    infos = contents.infolist()
    overlapping = _overlapping(infos, contents.start_dir)
    for number, (info, name) in enumerate(zip(infos, member_names(infos), strict=True)):
        inner = f"{path}/{name}"
        if info.is_dir():
            continue
        if (problem := path_problem(inner)) is not None:
            yield SkippedFile(inner, problem)
            continue
        if (left_out := find_left_out(name)) is not None:
            yield replace(left_out, path=f"{path}/{left_out.path}")
            continue
        if problem := _problem(info, name, overlaps=number in overlapping):
            yield SkippedFile(inner, problem)
        elif inner.lower().endswith(".zip"):
            yield from _nested(contents, info, inner, file, budget, archive, base, depth)
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


def _open(file: BinaryIO) -> zipfile.ZipFile:
    """Read the directory of a zip, unless it is too long; raises ``DamagedMemberError``."""
    try:
        end = zipfile._EndRecData(file)  # type: ignore[attr-defined]
        if end and end[_DIRECTORY_BYTES] > MAX_FILES * _ENTRY_BYTES:
            raise DamagedMemberError(f"a zip of more than {MAX_FILES:,} files: give a part of it")
        return zipfile.ZipFile(file)
    except _UNREADABLE as error:
        raise DamagedMemberError(
            f"not a readable zip ({error}); is the download complete?"
        ) from error


def _nested(
    contents: zipfile.ZipFile,
    info: zipfile.ZipInfo,
    path: str,
    file: BinaryIO,
    budget: Budget,
    archive: str,
    base: int,
    depth: int,
) -> Iterator[Member | SkippedFile | LeftOut]:
    """The members of a zip in a zip."""
    try:
        if depth == MAX_DEPTH:
            raise DamagedMemberError(f"a zip in {depth} other zips: unzip the outer ones first")
        if info.compress_type != STORED:
            stream, archive, base = _unpacked(contents, info, budget)
        else:
            file.seek(info.header_offset)
            start = data_offset(file.read(LOCAL_HEADER_BYTES), info.header_offset)
            stream = io.BufferedReader(Slice(file, start, info.file_size))
            base += start
    except DamagedMemberError as error:
        yield SkippedFile(path, str(error))
        return
    yield from _members(stream, path, budget, archive=archive, base=base, depth=depth + 1)


def _unpacked(
    contents: zipfile.ZipFile, info: zipfile.ZipInfo, budget: Budget
) -> tuple[BinaryIO, str, int]:
    """A compressed zip in a zip, in memory: a stream, the file that holds its bytes, and their
    offset there."""
    if problem := budget.memory_problem(info.compress_size, info.file_size):
        raise DamagedMemberError(problem)
    # The descriptor stays open until the process ends, since closing it deletes the file.
    descriptor = os.memfd_create("zip")
    stream = open(descriptor, "w+b", closefd=False)  # noqa: SIM115
    try:
        with contents.open(info) as packed:
            shutil.copyfileobj(packed, stream, 2**20)
        stream.flush()
        _open(stream)
    except (*_UNREADABLE, DamagedMemberError) as error:
        stream.close()
        os.close(descriptor)
        is_zip = isinstance(error, DamagedMemberError)
        text = str(error) if is_zip else f"the zip is damaged here: {error}"
        raise DamagedMemberError(text) from error
    budget.memory_bytes -= info.file_size
    return stream, f"/proc/{os.getpid()}/fd/{descriptor}", 0


def _overlapping(infos: Sequence[zipfile.ZipInfo], directory_at: int) -> frozenset[int]:
    """Indices of the members that begin within the bytes of another one, as in archives that unpack
    to thousands of times their size (D. Fifield, "A better zip bomb", 2019)."""
    found, end = list[int](), 0
    for number in sorted(range(len(infos)), key=lambda number: infos[number].header_offset):
        start, stored_bytes = infos[number].header_offset, infos[number].compress_size
        if start < end:
            found.append(number)
        reached = start + LOCAL_HEADER_BYTES + stored_bytes
        # A damaged size doesn't make all members behind it overlap.
        if reached <= directory_at:
            end = max(end, reached)
    return frozenset(found)


def _problem(info: zipfile.ZipInfo, name: str, *, overlaps: bool) -> str | None:
    """Why a member can't be read in place."""
    name = name.replace("\\", "/")
    if name.startswith("/") or ".." in name.split("/") or name[1:2] == ":":
        return "its name points out of the archive"
    if info.flag_bits & _ENCRYPTED:
        return "encrypted: unzip it with its password first"
    if info.compress_type not in (STORED, DEFLATED):
        return f"compressed by method {info.compress_type} of zip: unzip it first"
    if overlaps:
        return "it has the bytes of another file in the zip, which is damaged or made to fill disks"
    return None
