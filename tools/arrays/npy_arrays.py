"""Arrays of .npy and .npz files: headers, then blocks, without loading a whole array."""

import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from io import BytesIO
from math import prod
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from pipeline.errors import DataError
from tools.arrays.seekable_files import SeekableFiles, UnreadableArrayError, require_magic
from tools.arrays.stored_array import StoredArray, rows_in_block, sampled_ranges
from tools.images.non_images import describe_non_image

Open = Callable[[], AbstractContextManager[IO[bytes]]]
_MAGIC = b"\x93NUMPY"
_PYTHON_OBJECTS = (
    "holds Python objects, which may run any program when they are loaded. Save it as an array of "
    "numbers or texts: numpy.save(path, array.astype(str)), or the type that fits"
)
# NotImplementedError is a RuntimeError.
_UNREADABLE = (OSError, EOFError, ValueError, zlib.error, zipfile.BadZipFile, RuntimeError)


class Header(NamedTuple):
    """`offset`: where the values begin. `fortran`: the first axis changes fastest."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool
    offset: int


@dataclass(frozen=True, kw_only=True)
class NpyArray(StoredArray):
    """An array in the format of ``numpy.save``; `open` gives its stream, from its header on."""

    open: Open
    header: Header

    def blocks(self, axis: int, folder: Path | None = None) -> Iterator[NDArray[Any]]:
        slowest = (axis == 0) != self.header.fortran or len(self.shape) == 1
        try:
            with self.open() as stream:
                yield from self._slowest(stream) if slowest else self._fastest(stream, folder)
        except _UNREADABLE as error:
            raise DataError(f"{self.name} can't be read: {error}.") from error

    def sample(self, axis: int) -> NDArray[Any]:
        values, itemsize = prod(self.shape), self.dtype.itemsize
        # Pieces of pages, so that a place costs one read.
        per_piece = max(1, min(values, 2**14 // itemsize))
        kept, position = [], 0
        try:
            with self.open() as stream:
                _skip(stream, self.header.offset)
                for first, end in sampled_ranges(values // per_piece, per_piece * itemsize):
                    _skip(stream, (first * per_piece - position) * itemsize)
                    position = end * per_piece
                    data = self._read(stream, ((end - first) * per_piece,))
                    kept.append(np.frombuffer(data, self.dtype))
        except _UNREADABLE as error:
            raise DataError(f"{self.name} can't be read: {error}.") from error
        return np.concatenate(kept)

    def _slowest(self, stream: IO[bytes]) -> Iterator[NDArray[Any]]:
        """Blocks along the axis that changes slowest: a pass over the file."""
        stored = self._stored_shape
        step = rows_in_block(stored, self.dtype.itemsize, 0)
        _skip(stream, self.header.offset)
        for first in range(0, stored[0], step):
            shape = (min(step, stored[0] - first), *stored[1:])
            block = np.frombuffer(self._read(stream, shape), self.dtype).reshape(shape)
            yield self._in_order(block)

    def _fastest(self, stream: IO[bytes], folder: Path | None) -> Iterator[NDArray[Any]]:
        """Blocks along the axis that changes fastest: each gathers a piece from all of the file."""
        *rest, count = self._stored_shape
        step = rows_in_block(self._stored_shape, self.dtype.itemsize, -1)
        with _seekable(stream, self.header.offset, folder) as (file, offset):
            pieces = prod(rest)
            for first in range(0, count, step):
                width = min(step, count - first)
                block = np.empty((pieces, width), self.dtype)
                for piece in range(pieces):
                    file.seek(offset + (piece * count + first) * self.dtype.itemsize)
                    block[piece] = np.frombuffer(self._read(file, (width,)), self.dtype)
                yield self._in_order(np.ascontiguousarray(block.T).reshape(width, *rest))

    def _in_order(self, block: NDArray[Any]) -> NDArray[Any]:
        """The axes after the first in the order of `shape`."""
        if not self.header.fortran:
            return block
        return block.transpose(0, *range(block.ndim - 1, 0, -1))

    @property
    def _stored_shape(self) -> tuple[int, ...]:
        return self.shape[::-1] if self.header.fortran else self.shape

    def _read(self, stream: IO[bytes], shape: tuple[int, ...]) -> bytes:
        size_bytes = prod(shape) * self.dtype.itemsize
        data = stream.read(size_bytes)
        if len(data) < size_bytes:
            raise EOFError("it is cut off; download it again")
        return data


def npy_array(files: SeekableFiles, path: str) -> StoredArray:
    """The array of a .npy; raises ``UnreadableArrayError``."""
    require_magic(files, path, _MAGIC, "NumPy array")
    return _array_of(path, "", lambda: files.index.open(path), files.index.size_bytes(path))


def npz_arrays(files: SeekableFiles, path: str) -> list[StoredArray]:
    """The arrays of a .npz; raises ``UnreadableArrayError``."""
    require_magic(files, path, b"PK", "archive of NumPy arrays")
    try:
        with files.open(path) as stream, zipfile.ZipFile(stream) as archive:
            members = [info for info in archive.infolist() if info.filename.endswith(".npy")]
    except _UNREADABLE as error:
        raise UnreadableArrayError(
            f"it is no complete archive of NumPy arrays ({error}); download it again"
        ) from error
    return [
        _array_of(
            path, info.filename.removesuffix(".npy"), _opener(files, path, info), info.file_size
        )
        for info in members
    ]


def _array_of(path: str, member: str, open: Open, size_bytes: int) -> StoredArray:
    try:
        with open() as stream:
            header = read_npy_header(stream)
    except _UNREADABLE as error:
        place = f" ({member})" if member else ""
        raise UnreadableArrayError(f"the header{place} of the array is damaged: {error}") from error
    problem = _PYTHON_OBJECTS if header.dtype.hasobject else ""
    count = prod(header.shape)
    if not problem and size_bytes < header.offset + count * header.dtype.itemsize:
        problem = (
            f"is cut off: it has {size_bytes:,} bytes, and {header.dtype} of shape {header.shape} "
            f"takes {header.offset + count * header.dtype.itemsize:,}. Download it again"
        )
    return NpyArray(
        file=path,
        member=member,
        shape=header.shape,
        dtype=header.dtype,
        problem=problem,
        open=open,
        header=header,
    )


def read_npy_header(stream: IO[bytes]) -> Header:
    """The header at the start of a stream; raises ``ValueError``, ``EOFError``."""
    magic = stream.read(npy_format.MAGIC_LEN)
    if not magic.startswith(_MAGIC):
        raise ValueError(describe_non_image(magic))
    version = npy_format.read_magic(BytesIO(magic))
    length_bytes = 2 if version == (1, 0) else 4
    length = stream.read(length_bytes)
    text = stream.read(int.from_bytes(length, "little"))
    # Version 3 differs from 2 only in the encoding of field names.
    read = (
        npy_format.read_array_header_1_0 if length_bytes == 2 else npy_format.read_array_header_2_0
    )
    try:
        shape, fortran, dtype = read(BytesIO(length + text))
    except Exception as error:  # of NumPy's parser for Python's literals, there are many
        raise ValueError("its header is no description of an array") from error
    if any(length < 0 for length in shape):
        raise ValueError(f"its shape is {shape}")
    offset = len(magic) + len(length) + len(text)
    return Header(tuple(map(int, shape)), dtype, bool(fortran) and len(shape) > 1, offset)


def _opener(files: SeekableFiles, path: str, info: zipfile.ZipInfo) -> Open:
    @contextmanager
    def open_member() -> Iterator[IO[bytes]]:
        with (
            files.open(path) as stream,
            zipfile.ZipFile(stream) as archive,
            archive.open(info) as member,
        ):
            yield member

    return open_member


def _skip(stream: IO[bytes], size_bytes: int) -> None:
    if _seeks_fast(stream):
        stream.seek(size_bytes, os.SEEK_CUR)
        return
    while size_bytes and (data := stream.read(min(size_bytes, 2**20))):
        size_bytes -= len(data)


def _seeks_fast(stream: IO[bytes]) -> bool:
    return stream.seekable() and not isinstance(stream, zipfile.ZipExtFile)


@contextmanager
def _seekable(
    stream: IO[bytes], offset: int, folder: Path | None
) -> Iterator[tuple[IO[bytes], int]]:
    """A file that seeks fast, and where the values begin in it."""
    if _seeks_fast(stream):
        yield stream, offset
        return
    with tempfile.TemporaryFile(prefix="shardline-", dir=folder) as file:
        _skip(stream, offset)
        shutil.copyfileobj(stream, file, 2**20)
        yield file, 0
