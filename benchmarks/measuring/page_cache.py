"""Load files into the kernel's page cache, drop them, and count bytes read from disks."""

import ctypes
import mmap
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

_CHUNK_BYTES = 2**20
# Files of which a larger share stays resident after they were dropped can't be measured cold.
_MAX_RESIDENT_SHARE = 0.05
_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.mmap.restype = ctypes.c_void_p
_LIBC.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
_LIBC.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_LIBC.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p]
_MAP_FAILED = ctypes.c_void_p(-1).value


def drop(paths: Iterable[Path]) -> None:
    """Ask the kernel to drop the files from the page cache; files on tmpfs stay in memory."""
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
    """Share of the files' pages that are in memory; None if the kernel does not report it."""
    counts = [_resident_pages(path) for path in paths]
    reported = [count for count in counts if count is not None]
    if not reported or len(reported) < len(counts):
        return None
    resident, pages = map(sum, zip(*reported, strict=True))
    return resident / max(pages, 1)


def resident_when_dropped(paths: Sequence[Path]) -> float | None:
    """Share of the files' pages in memory right after dropping them: 1 on tmpfs, 0 where files can
    be cold, None if unknown."""
    drop(paths)
    return resident_share(paths)


def can_be_cold(resident_when_dropped: float | None) -> bool:
    """Whether dropped files with this share of pages in memory count as cold."""
    return resident_when_dropped is not None and resident_when_dropped <= _MAX_RESIDENT_SHARE


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


def disk_bytes(process: int | str = "self") -> int | None:
    """Bytes that a process has read from disks so far, by its ID; None if unknown.

    Reads from network file systems don't count (proc(5), read_bytes).
    """
    try:
        lines = Path(f"/proc/{process}/io").read_text().splitlines()
    except OSError:
        return None
    return next(int(line.split()[1]) for line in lines if line.startswith("read_bytes:"))
