"""Files in a local folder or behind an fsspec URL."""

import errno
import os
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, cast

from pipeline.storage.manifest import MANIFEST_NAME
from pipeline.storage.remote import open_url
from tools.download.budget import path_problem


@dataclass(frozen=True)
class SkippedFile:
    """A file or folder of the download that is not read, and the reason."""

    path: str
    reason: str


# Errors of one file or folder, while the others can be read.
_UNREADABLE = (errno.EACCES, errno.EPERM, errno.EIO, errno.ELOOP, errno.ENAMETOOLONG)


def is_unreadable(error: OSError) -> bool:
    """Whether `error` is about one local file or folder, which is then skipped or rejected."""
    return error.errno in _UNREADABLE


@dataclass(frozen=True)
class LeftOut:
    """A file or folder that a system made; it is `counted` unless it is hidden."""

    path: str
    counted: bool


# Folders and files of systems, in lower case; AppleDouble files hold what macOS knows of a file.
_SYSTEM_NAMES = frozenset({"@eadir", "lost+found", "$recycle.bin", "thumbs.db", "desktop.ini"})
_SYSTEM_PREFIXES = (".trash", "._")


def find_left_out(path: str) -> LeftOut | None:
    """The first folder or file in a path that is hidden, ``__MACOSX`` or made by a system."""
    folder, _, name = path.rpartition("/")
    if folder and (left_out := _find_folder(folder)) is not None:
        return left_out
    lower = name.lower()
    if lower in _SYSTEM_NAMES or lower.startswith(_SYSTEM_PREFIXES):
        return LeftOut(path, counted=True)
    if name == "__MACOSX" or (name.startswith(".") and name not in (".", "..")):
        return LeftOut(path, counted=False)
    return None


# The files of a folder come one after another.
_find_folder = lru_cache(maxsize=1024)(find_left_out)


@dataclass(frozen=True)
class Location:
    """`url`: a local folder or an fsspec URL; cheap to pickle."""

    url: str
    # The option that gives it, for messages.
    option: ClassVar[str] = ""

    @cached_property
    def local(self) -> Path | None:
        """The local folder, or None for a URL."""
        protocol, separator, path = self.url.partition("://")
        if not separator:
            return Path(self.url)
        return Path(path) if protocol == "file" else None

    @cached_property
    def remote(self) -> tuple[Any, str]:
        """The fsspec file system of the URL and the path in it; raises ``MisuseError``, and its
        methods ``DataError`` without credentials."""
        return open_url(self.url, prefix=self.option)


@dataclass(frozen=True)
class Storage(Location):
    """The files of a download under `url`.

    Paths are relative to `url` and contain "/". An absolute path names a file of this machine.
    """

    option: ClassVar[str] = "--src "
    # Whether a file of the same size counts as unchanged.
    trust_size: bool = False

    @property
    def in_process(self) -> bool:
        """Whether only this process can read the files."""
        return self.url.startswith("memory://")

    def _file(self, path: str) -> Path | None:
        """The local file, or None for a URL."""
        if self.local is not None:
            return self.local / path
        return Path(path) if path.startswith("/") else None

    def where(self, path: str) -> str:
        """The full path or URL of a file."""
        if (file := self._file(path)) is not None:
            return str(file)
        filesystem, root = self.remote
        return str(filesystem.unstrip_protocol(f"{root}/{path}"))

    def open(self, path: str) -> BinaryIO:
        """A seekable file; raises ``OSError``."""
        if (file := self._file(path)) is not None:
            return file.open("rb")
        filesystem, root = self.remote
        return cast(BinaryIO, filesystem.open(f"{root}/{path}", "rb"))

    def read(self, path: str, start: int = 0, end: int | None = None) -> bytes:
        """Bytes [start, end) of a file; raises ``OSError``."""
        if (file := self._file(path)) is not None:
            with file.open("rb", buffering=0) as opened:
                opened.seek(start)
                return opened.read(-1 if end is None else end - start)
        filesystem, root = self.remote
        return bytes(filesystem.cat_file(f"{root}/{path}", start=start, end=end))

    def version(self, path: str) -> tuple[int, int]:
        """(size in bytes, version) of a file at this moment; raises ``OSError``. A new version
        means that the contents may have changed."""
        if (file := self._file(path)) is not None:
            status = file.stat()
            return status.st_size, status.st_mtime_ns
        filesystem, root = self.remote
        return _remote_version(filesystem.info(f"{root}/{path}"))

    def has(self, path: str) -> bool:
        """Whether there is a file of this name."""
        try:
            self.version(path)
        except OSError:
            return False
        return True

    def walk(
        self, *, follow_links: bool, skip: Collection[Path] = ()
    ) -> "Iterator[tuple[str, int, int] | SkippedFile | LeftOut]":
        """(path, size in bytes, version) of each file, in any order; raises ``OSError``.

        Ignores shard directories and the local folders `skip`. Yields ``LeftOut`` for hidden files
        and those of systems, and ``SkippedFile`` for a link out of the folder unless `follow_links`
        is true.
        """
        if self.local is not None:
            yield from _walk_local(self.local, follow_links, {path.resolve() for path in skip})
        else:
            yield from self._walk_remote()

    def _walk_remote(self) -> Iterator[tuple[str, int, int] | SkippedFile | LeftOut]:
        filesystem, root = self.remote
        files = filesystem.find(root, detail=True)
        shards = [path.rpartition("/")[0] for path in files if path.endswith("/" + MANIFEST_NAME)]
        for path, info in files.items():
            relative = path.removeprefix(root).lstrip("/")
            if not relative or path.rpartition("/")[0] in shards:
                continue
            if (problem := path_problem(relative)) is not None:
                yield SkippedFile(relative, problem)
            elif (left_out := find_left_out(relative)) is not None:
                yield left_out
            else:
                yield relative, *_remote_version(info)


def _remote_version(info: dict[str, Any]) -> tuple[int, int]:
    stamps = (info.get(name) for name in ("ETag", "etag", "md5Hash", "mtime", "LastModified"))
    stamp = next((stamp for stamp in (*stamps, info.get("created")) if stamp is not None), "")
    return int(info["size"]), zlib.crc32(str(stamp).encode())


def _walk_local(
    root: Path, follow_links: bool, skip: Collection[Path]
) -> Iterator[tuple[str, int, int] | SkippedFile | LeftOut]:
    inside = root.resolve()
    seen: set[tuple[int, int]] = set()
    # Links to folders come last, so that a file keeps the path without links, and a link to a
    # parent folder finds only folders that were seen.
    folders, links = [""], list[str]()
    while folders or links:
        folder = (folders or links).pop()
        try:
            status = (root / folder).stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            entries = _entries(root / folder)
        except OSError as error:
            if not folder or not is_unreadable(error):
                raise
            yield SkippedFile(folder, f"a folder that can't be read: {error.strerror}")
            continue
        for entry in entries:
            path = f"{folder}/{entry.name}" if folder else entry.name
            if (left_out := find_left_out(entry.name)) is not None:
                yield replace(left_out, path=path)
                continue
            try:
                file = _look_at(entry, path, None if follow_links else inside)
            except OSError as error:
                if not is_unreadable(error):
                    raise
                what = "a link to itself" if error.errno == errno.ELOOP else "it can't be read"
                file = SkippedFile(path, f"{what}: {error.strerror}")
            if file is not None:
                yield file
            elif Path(os.path.realpath(entry.path)) not in skip:
                (links if entry.is_symlink() else folders).append(path)


def _look_at(
    entry: os.DirEntry[str], path: str, inside: Path | None
) -> tuple[str, int, int] | SkippedFile | None:
    """The file of an entry, None for a folder. Links must stay within `inside`, if it is given."""
    if entry.is_symlink():
        target = Path(os.path.realpath(entry.path))
        if inside is not None and not target.is_relative_to(inside):
            return SkippedFile(path, f"a link to {target}, outside of the download")
    if entry.is_dir():
        problem = path_problem(path + "/")
        return None if problem is None else SkippedFile(path, problem)
    if not entry.is_file():
        what = "a broken link" if entry.is_symlink() else "a pipe, a socket or a device, no file"
        return SkippedFile(path, what)
    status = entry.stat()
    return path, status.st_size, status.st_mtime_ns


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """The entries of a folder, sorted; none if it is a shard directory."""
    with os.scandir(folder) as scan:
        entries = sorted(scan, key=lambda entry: entry.name)
    return [] if any(entry.name == MANIFEST_NAME for entry in entries) else entries
