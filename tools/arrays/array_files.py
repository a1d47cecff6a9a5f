"""All arrays of a download, and the files and arrays that can't be read."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from pipeline.errors import DataError
from tools.arrays.hdf5_arrays import hdf5_arrays
from tools.arrays.npy_arrays import npy_array, npz_arrays
from tools.arrays.seekable_files import SeekableFiles, UnreadableArrayError
from tools.arrays.stored_array import StoredArray
from tools.download.file_index import FileIndex, plain_path, under
from tools.download.name_index import suffix_of

_READERS: dict[str, Callable[[SeekableFiles, str], Sequence[StoredArray]]] = {
    ".npy": lambda files, path: [npy_array(files, path)],
    ".npz": npz_arrays,
    ".h5": hdf5_arrays,
    ".hdf5": hdf5_arrays,
    ".hdf": hdf5_arrays,
}
PARQUET_SUFFIXES = frozenset({".parquet", ".pq"})


class Refusal(NamedTuple):
    """A file that can't be read, and why."""

    file: str
    reason: str


def list_arrays(files: SeekableFiles) -> tuple[list[StoredArray], list[Refusal]]:
    """The arrays of the download, file by file, and what can't be read."""
    arrays: list[StoredArray] = []
    refused: list[Refusal] = []
    for path in array_paths(files.index, frozenset(_READERS)):
        try:
            arrays += _READERS[suffix_of(path)](files, path)
        except UnreadableArrayError as error:
            refused.append(Refusal(path, str(error)))
        except DataError as error:
            refused.append(Refusal(path, error.message.removeprefix(f"{path} ")))
    return [array for array in arrays if 0 not in array.shape], refused


def array_paths(index: FileIndex, suffixes: frozenset[str]) -> list[str]:
    """The files with one of these suffixes, in the folder of --images if there is one."""
    return [
        path for path in index.others if suffix_of(path) in suffixes and under(path, index.within)
    ]


def file_named(index: FileIndex, path: str) -> str | None:
    """The file of arrays with this path, or the only one whose path ends in it."""
    suffixes = frozenset(_READERS) | PARQUET_SUFFIXES
    root = index.storage.local
    if root is not None and path.startswith("/"):
        path = path.removeprefix(f"{root.resolve()}/")
    path, paths = plain_path(path), array_paths(index, suffixes)
    ending = [one for one in paths if one == path or one.endswith("/" + path)]
    return path if path in paths else ending[0] if len(ending) == 1 else None
