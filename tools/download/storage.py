"""Where the files of a download lie: a folder here, or anything that fsspec reaches."""

import os
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from pipeline.storage.manifest import MANIFEST_NAME
from tools.location import Location


@dataclass(frozen=True)
class Refusal:
    """A file or folder that is not looked at, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Storage(Location):
    """The files beneath `url`, a folder or an fsspec URL; cheap to pickle.

    Paths are relative to it, with "/". An absolute path is taken as it is.
    """

    @property
    def in_process(self) -> bool:
        """Whether no other process sees the files."""
        return self.url.startswith("memory://")

    def _file(self, path: str) -> Path | None:
        """The file, if it is one of this machine."""
        if self.local is not None:
            return self.local / path
        return Path(path) if path.startswith("/") else None

    def where(self, path: str) -> str:
        """The whole path or URL of a file."""
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
        """(size in bytes, version) of a file as it is now; raises ``OSError``. Another version
        means other contents."""
        if (file := self._file(path)) is not None:
            status = file.stat()
            return status.st_size, status.st_mtime_ns
        filesystem, root = self.remote
        return _remote_version(filesystem.info(f"{root}/{path}"))

    def walk(
        self, *, follow_links: bool, skip: Collection[Path] = ()
    ) -> Iterator[tuple[str, int, int] | Refusal]:
        """(path, size in bytes, version) of each file, in any order. Hidden files, ``__MACOSX``,
        shard directories and the local folders `skip` are left out, as are links that leave the
        storage, unless `follow_links`. Raises ``OSError``."""
        if self.local is not None:
            yield from _walk_local(self.local, follow_links, {path.resolve() for path in skip})
        else:
            yield from self._walk_remote()

    def _walk_remote(self) -> Iterator[tuple[str, int, int]]:
        filesystem, root = self.remote
        found = filesystem.find(root, detail=True)
        own = [path.rpartition("/")[0] for path in found if path.endswith("/" + MANIFEST_NAME)]
        for path, info in found.items():
            relative = path.removeprefix(root).lstrip("/")
            if relative and not _is_hidden(relative) and path.rpartition("/")[0] not in own:
                yield relative, *_remote_version(info)


def _is_hidden(path: str) -> bool:
    return any(name.startswith(".") or name == "__MACOSX" for name in path.split("/"))


def _remote_version(info: dict[str, Any]) -> tuple[int, int]:
    stamps = (info.get(name) for name in ("ETag", "etag", "md5Hash", "mtime", "LastModified"))
    stamp = next((stamp for stamp in (*stamps, info.get("created")) if stamp is not None), "")
    return int(info["size"]), zlib.crc32(str(stamp).encode())


def _walk_local(
    root: Path, follow_links: bool, skip: Collection[Path]
) -> Iterator[tuple[str, int, int] | Refusal]:
    inside = root.resolve()
    seen: set[tuple[int, int]] = set()
    # Links to folders come last: what also lies here by itself is called by its own name, and a
    # link upwards leads nowhere new.
    folders, links = [""], list[str]()
    while folders or links:
        folder = (folders or links).pop()
        status = (root / folder).stat()
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        for entry in _listed(root / folder):
            path = f"{folder}/{entry.name}" if folder else entry.name
            if entry.is_symlink():
                target = Path(os.path.realpath(entry.path))
                if not follow_links and not target.is_relative_to(inside):
                    yield Refusal(path, f"a link to {target}, outside of the download")
                    continue
            if entry.is_dir():
                if Path(entry.path).resolve() not in skip:
                    (links if entry.is_symlink() else folders).append(path)
            elif entry.is_file():
                status = entry.stat()
                yield path, status.st_size, status.st_mtime_ns
            elif entry.is_symlink():
                yield Refusal(path, "a link to nothing")


def _listed(folder: Path) -> list[os.DirEntry[str]]:
    """What is in a folder, without hidden files; nothing if it holds shards."""
    with os.scandir(folder) as entries:
        listed = sorted(entries, key=lambda entry: entry.name)
    if any(entry.name == MANIFEST_NAME for entry in listed):
        return []
    return [entry for entry in listed if not _is_hidden(entry.name)]
