"""Evict fetched files from the cache on this machine's disk, which all datasets share."""

import fcntl
import os
import re
import shutil
from pathlib import Path

GIB = 2**30


def cache_root(directory: str | None) -> Path:
    """The folder "shardline" in `directory`, by default in the user's cache folder as XDG defines
    it. Files outside it are never removed."""
    base = directory or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "shardline"


def default_limit_bytes(root: Path) -> int:
    """Half of the space that the disk would have free with an empty cache."""
    existing = next(folder for folder in (root, *root.absolute().parents) if folder.exists())
    used = sum(_file(path)[1] for path in root.glob("*/*"))
    return (shutil.disk_usage(existing).free + used) // 2


def make_room(root: Path, needed_bytes: int, limit_bytes: int) -> int:
    """Remove the least recently used files that no process uses, until `needed_bytes` more are
    within the limit. Returns by how many bytes they exceed it (at most 0 if they don't)."""
    files = sorted((_file(path) for path in root.glob("*/*")), key=lambda file: file[0])
    excess = sum(size for _, size, _ in files) + needed_bytes - limit_bytes
    for _, size, path in files:
        if excess > 0 and _remove_unused(path):
            excess -= size
    return excess


def is_at(descriptor: int, path: Path) -> bool:
    """Whether the open file still has the name `path`."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _file(path: Path) -> tuple[float, int, Path]:
    """(time of last use, size in bytes when complete, path); zeros if it is gone."""
    try:
        stat = path.stat()
    except OSError:
        return 0.0, 0, path
    part = re.search(r"\.(\d+)\.part$", path.name)
    return stat.st_mtime, int(part[1]) if part else stat.st_size, path


def _remove_unused(path: Path) -> bool:
    """Remove the file; False if a process reads or fetches it."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if is_at(descriptor, path):
            path.unlink()
        return True
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
