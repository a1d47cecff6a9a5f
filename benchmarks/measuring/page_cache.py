"""Files in and out of the kernel's page cache, and what was read from disks."""

import ctypes
import mmap
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

_CHUNK_BYTES = 2**20
# More of the pages than this still in memory after they were dropped: the files can't be cold.
_STILL_WARM = 0.05
_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.mmap.restype = ctypes.c_void_p
_LIBC.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
_LIBC.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_LIBC.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p]
_MAP_FAILED = ctypes.c_void_p(-1).value


def drop(paths: Iterable[Path]) -> None:
    """Ask the kernel to forget the files; one that lives in memory (tmpfs) stays there."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def fill(paths: Iterable[Path]) -> None:
    """Read the files."""
    for path in paths:
        with path.open("rb") as file:
            while file.read(_CHUNK_BYTES):
                pass


def resident_share(paths: Sequence[Path]) -> float | None:
    """Share of the files' pages that lie in memory; None where the kernel doesn't tell."""
    found = [_resident_pages(path) for path in paths]
    known = [each for each in found if each is not None]
    if len(known) < len(found) or not known:
        return None
    resident, pages = np.sum(known, axis=0).tolist()
    return float(resident / max(pages, 1))


def resident_when_dropped(paths: Sequence[Path]) -> float | None:
    """Share of the files' pages in memory just after they were dropped: 1 on tmpfs, 0 where files
    can be cold; None where unknown."""
    drop(paths)
    return resident_share(paths)


def can_be_cold(still_resident: float | None) -> bool:
    """Whether so much of files that were dropped still in memory leaves them cold."""
    return still_resident is not None and still_resident <= _STILL_WARM


def _resident_pages(path: Path) -> tuple[int, int] | None:
    """(resident, all), by mincore(2) on a mapping that is never touched."""
    size = path.stat().st_size
    pages = -(-size // mmap.PAGESIZE)
    if not pages:
        return 0, 0
    descriptor = os.open(path, os.O_RDONLY)
    try:
        address = _LIBC.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, descriptor, 0)
    finally:
        os.close(descriptor)
    if address == _MAP_FAILED:
        return None
    flags = ctypes.create_string_buffer(pages)
    failed = _LIBC.mincore(address, size, flags)
    _LIBC.munmap(address, size)
    return None if failed else (sum(flag & 1 for flag in flags.raw), pages)


def disk_bytes() -> int | None:
    """Bytes that this process had disks read so far; None where the kernel doesn't tell.

    Network file systems don't count (proc(5), read_bytes)."""
    try:
        lines = Path("/proc/self/io").read_text().splitlines()
    except OSError:
        return None
    return next(int(line.split()[1]) for line in lines if line.startswith("read_bytes:"))
