"""Arrays of HDF5 files, read with h5py, an optional package."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError
from tools.arrays.seekable_files import SeekableFiles, UnreadableArrayError, require_magic
from tools.arrays.stored_array import StoredArray, rows_in_block, sampled_ranges

_MAGIC = b"\x89HDF\r\n\x1a\n"
_INSTALL = (
    "it is an HDF5 file, which is read with h5py: run `pip install -e '.[hdf5]'` in the repository"
)


@dataclass(frozen=True, kw_only=True)
class Hdf5Array(StoredArray):
    """A dataset; `member` is its path in the file. `is_text`: its values are texts of any
    length."""

    files: SeekableFiles
    is_text: bool = False

    def blocks(self, axis: int, folder: Path | None = None) -> Iterator[NDArray[Any]]:
        count = self.shape[axis]
        step = rows_in_block(self.shape, self.dtype.itemsize, axis)
        with self._opened() as dataset:
            for first in range(0, count, step):
                yield self._slice(dataset, axis, first, min(first + step, count))

    def sample(self, axis: int) -> NDArray[Any]:
        count = self.shape[axis]
        row_bytes = prod(self.shape) // max(1, count) * self.dtype.itemsize
        with self._opened() as dataset:
            ranges = sampled_ranges(count, row_bytes)
            return np.concatenate([self._slice(dataset, axis, *one).ravel() for one in ranges])

    def _slice(self, dataset: Any, axis: int, first: int, end: int) -> NDArray[Any]:
        if self.is_text:
            return np.array(dataset.asstr(errors="surrogateescape")[first:end], dtype=np.str_)
        if axis == 0:
            return np.asarray(dataset[first:end])
        return np.moveaxis(np.asarray(dataset[..., first:end]), -1, 0)

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        import h5py

        try:
            with self.files.open(self.file) as stream, h5py.File(stream, "r") as file:
                yield file[self.member]
        except (OSError, KeyError, RuntimeError, TypeError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise DataError(f"{self.name} can't be read: {reason}.") from error


def hdf5_arrays(files: SeekableFiles, path: str) -> list[StoredArray]:
    """The datasets of an HDF5 file; raises ``UnreadableArrayError``, also without h5py."""
    require_magic(files, path, _MAGIC, "HDF5 file")
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise UnreadableArrayError(_INSTALL) from error
    found: list[StoredArray] = []

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.shape:
            found.append(_array_of(files, path, name, item))

    try:
        with files.open(path) as stream, h5py.File(stream, "r") as file:
            file.visititems(visit)
    except (OSError, KeyError, RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UnreadableArrayError(
            f"it is an HDF5 file that is damaged or cut off ({reason}); download it again"
        ) from error
    return found


def _array_of(files: SeekableFiles, path: str, name: str, dataset: Any) -> StoredArray:
    import h5py

    is_text = h5py.check_string_dtype(dataset.dtype) is not None and dataset.dtype.hasobject
    problem = ""
    if dataset.dtype.hasobject and not is_text:
        problem = "holds values of any length, which are no image and no label"
    elif dataset.is_virtual or dataset.external:
        problem = "keeps its values in other files, which aren't read. Copy them into one file"
    return Hdf5Array(
        file=path,
        member=name,
        shape=tuple(map(int, dataset.shape)),
        dtype=np.dtype(np.str_) if is_text else dataset.dtype,
        problem=problem,
        files=files,
        is_text=is_text,
    )
