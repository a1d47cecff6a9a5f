"""Evict fetched files from the cache on this machine's disk, which all datasets share."""

import fcntl
import os
import re
import shutil
import stat
from contextlib import suppress
from pathlib import Path

from pipeline.errors import MisuseError

GIB = 2**30


def user_cache() -> Path | None:
    """The user's cache folder as XDG defines it; None for a user id without a home folder, which
    containers have."""
    if folder := os.environ.get("XDG_CACHE_HOME"):
        return Path(folder)
    with suppress(RuntimeError):
        return Path.home() / ".cache"
    return None


def cache_root(directory: str | None) -> Path:
    """The folder "shardline" in `directory`, by default in the user's cache folder. Files outside
    it are never removed. Raises ``MisuseError`` where there is neither."""
    base = Path(directory) if directory else user_cache()
    if base is None:
        raise MisuseError(
            "This user has no home folder, where fetched shards would be kept: give a folder by "
            "--cache-dir, or set HOME."
        )
    return base / "shardline"


def default_limit_bytes(root: Path) -> int:
    """Half of the space that the disk would have free with an empty cache."""
    existing = next(folder for folder in (root, *root.absolute().parents) if folder.exists())
    used = sum(size for _, size, _ in _files(root))
    return (shutil.disk_usage(existing).free + used) // 2


def make_room(root: Path, needed_bytes: int, limit_bytes: int) -> int:
    """Remove the least recently used files that no process uses, until `needed_bytes` more are
    within the limit. Returns by how many bytes they exceed it (at most 0 if they don't)."""
    excess = excess_bytes(root, needed_bytes, limit_bytes)
    for _, size, path in sorted(_files(root), key=lambda file: file[0]):
        if excess > 0 and _remove_unused(path):
            excess -= size
    return excess


def excess_bytes(root: Path, needed_bytes: int, limit_bytes: int) -> int:
    """By how many bytes the files in the cache and `needed_bytes` more exceed the limit."""
    return sum(size for _, size, _ in _files(root)) + needed_bytes - limit_bytes


def is_at(descriptor: int, path: Path) -> bool:
    """Whether the open file still has the name `path`."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def _files(root: Path) -> list[tuple[float, int, Path]]:
    """Time of last use, size in bytes when complete, and path of the files in the cache; no link is
    followed."""
    files = []
    for folder in root.iterdir() if root.is_dir() else ():
        if not folder.is_dir() or folder.is_symlink():
            continue
        for path in folder.iterdir():
            with suppress(OSError):  # it may be gone
                status = path.lstat()
                part = re.search(r"\.(\d+)\.part$", path.name)
                if stat.S_ISREG(status.st_mode):
                    size = int(part[1]) if part else status.st_size
                    files.append((status.st_mtime, size, path))
    return files


def _remove_unused(path: Path) -> bool:
    """Remove the file; False if a process reads or fetches it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
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
