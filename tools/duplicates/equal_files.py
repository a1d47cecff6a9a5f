"""Sources whose files have the same content, found before splits are drawn."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.progress import ProgressCallback
from tools.download.image_files import ImageFiles
from tools.duplicates.keys import Keys, equal_runs, mixed
from tools.duplicates.threads import in_threads
from tools.images.image_source import Images
from tools.workers import Workers

Integers = NDArray[np.int64]

# Bytes in the middle of a file that are compared first: beginnings are alike in many files.
_COMPARED_BYTES = 4096
# Images of a task of a worker.
_TASK_IMAGES = 1024
_NO_LIMIT = 2**62


@dataclass(frozen=True, kw_only=True)
class EqualFiles:
    """`first`: int64 (n,), for each source the first one with the same content, or its own number.
    `drop`: whether copies are left out; else they go to one split."""

    first: Integers
    drop: bool = False


def first_of_equals(images: Images, workers: Workers, advance: ProgressCallback) -> Integers:
    """For each image the first one whose file or pixels have the same bytes, or its own number:
    int64 (n,).

    Of files of one size a part is compared first, of those in zips the stated CRC-32, and of a URL
    the version that it states, so that few files are read in full. A file that can't be read equals
    no other. `advance` gets numbers of images.
    """
    keys, candidates = _known_keys(images)
    for numbers, some in _read_keys(images, candidates, workers):
        keys[numbers] = some
        advance(len(numbers))
    advance(len(images) - len(candidates))
    del candidates
    runs = [run.tolist() for run in equal_runs(keys)]
    del keys
    first = np.arange(len(images))
    found = in_threads(partial(_digest, images), (number for run in runs for number in run))
    for run in runs:
        digests: dict[bytes, int] = {}
        for number in run:
            if digest := next(found):
                first[number] = digests.setdefault(digest, number)
    return first


def _known_keys(images: Images) -> tuple[Keys, Integers]:
    """Keys from what is known without reading, and the numbers of the images that must be read."""
    keys = np.zeros(len(images), np.uint64)
    if not isinstance(images, ImageFiles):
        return keys, np.arange(len(images))
    rows = images.entries.rows
    in_zip, size_bytes = rows["archive"] >= 0, rows["size_bytes"]
    keys[in_zip] = mixed(size_bytes[in_zip], rows["crc32"][in_zip])
    if images.storage.local is None:
        keys[~in_zip] = mixed(size_bytes[~in_zip], rows["version"][~in_zip])
        return keys, np.empty(0, np.int64)
    order = np.argsort(size_bytes)
    ranked = size_bytes[order]
    repeated, is_shared = ranked[1:] == ranked[:-1], ranked > 0
    is_shared &= np.append(False, repeated) | np.append(repeated, False)
    del ranked
    candidates = order[is_shared]
    candidates.sort()
    return keys, candidates[~in_zip[candidates]]


def _read_keys(
    images: Images, numbers: Integers, workers: Workers
) -> Iterator[tuple[Integers, Keys]]:
    parts = [numbers[n : n + _TASK_IMAGES] for n in range(0, len(numbers), _TASK_IMAGES)]
    tasks = (images.take(part) for part in parts)
    results = workers.ordered(content_keys, tasks, rescue=_no_keys)
    yield from zip(parts, results, strict=True)


def content_keys(images: Images) -> Keys:
    """A key for each image, equal for equal bytes, 0 for one that can't be read. Runs in a
    worker."""
    if isinstance(images, ImageFiles):
        paths = (f"{images.storage.local}/{path}" for path in images.paths)
        return _of_parts(paths, images.entries.rows["size_bytes"])
    crcs, sizes = list[int](), list[int]()
    for size_bytes, contents in images.load(_NO_LIMIT):
        crcs.append(0 if isinstance(contents, str) else isal_zlib.crc32(_bytes_of(contents)))
        sizes.append(0 if isinstance(contents, str) else size_bytes)
    keys = mixed(np.array(sizes, np.int64), np.array(crcs, np.int64))
    return np.where(np.array(sizes) > 0, keys, np.uint64(0))


def _no_keys(images: Images) -> Keys:
    return np.zeros(len(images), np.uint64)


def _of_parts(paths: Iterable[str], sizes: Integers) -> Keys:
    """From the bytes in the middle of files. A loop with few steps, since it runs for nearly every
    small file."""
    crcs = np.zeros(len(sizes), np.int64)
    middles = np.maximum(sizes - _COMPARED_BYTES, 0) // 2
    for number, (path, middle) in enumerate(zip(paths, middles.tolist(), strict=True)):
        try:
            file = os.open(path, os.O_RDONLY)
        except OSError:
            continue
        try:
            crcs[number] = 1 + isal_zlib.crc32(os.pread(file, _COMPARED_BYTES, middle))
        except OSError:
            continue
        finally:
            os.close(file)
    return np.where(crcs > 0, mixed(sizes, crcs), np.uint64(0))


def _digest(images: Images, number: int) -> bytes:
    """The SHA-256 of an image's bytes, b"" if it can't be read: the encoding reads it again, and
    says what is wrong."""
    with suppress(DataError):
        for _, contents in images.take(np.array([number])).load(_NO_LIMIT):
            if not isinstance(contents, str):
                return hashlib.sha256(_bytes_of(contents)).digest()
    return b""


def _bytes_of(contents: bytes | NDArray[np.uint8]) -> bytes | memoryview:
    if isinstance(contents, bytes):
        return contents
    return np.ascontiguousarray(contents).data
