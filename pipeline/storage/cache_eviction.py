"""The room that fetched files take on this machine's disk, whatever dataset they belong to."""

import fcntl
import os
import re
import shutil
from pathlib import Path

GIB = 2**30


def cache_root(directory: str | None) -> Path:
    """A folder of our own in `directory`, by default the user's cache as XDG defines it: only what
    is in there is ever removed."""
    base = directory or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "shardline"


def default_limit_bytes(root: Path) -> int:
    """Half of what the disk would have free if the cache were empty."""
    existing = next(folder for folder in (root, *root.absolute().parents) if folder.exists())
    used = sum(_file(path)[1] for path in root.glob("*/*"))
    return (shutil.disk_usage(existing).free + used) // 2


def make_room(root: Path, needed_bytes: int, limit_bytes: int) -> int:
    """Remove what was not used for longest, and nobody uses, until `needed_bytes` more are within
    the limit; by how many bytes they aren't."""
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
    """(time of last use, size in bytes when it is whole, path); zeros if it is gone."""
    try:
        found = path.stat()
    except OSError:
        return 0.0, 0, path
    part = re.search(r"\.(\d+)\.part$", path.name)
    return found.st_mtime, int(part[1]) if part else found.st_size, path


def _remove_unused(path: Path) -> bool:
    """Remove the file unless somebody reads or fetches it."""
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
