"""One index of all files of a download; everything that names an image is looked up in it."""

import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath

from pipeline.dataset import MANIFEST_NAME
from pipeline.errors import DataError, MisuseError

IMAGE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".tif", ".tiff", ".webp", ".gif"}
)
TABLE_SUFFIXES = frozenset({".csv", ".tsv"})


@dataclass(frozen=True)
class FileIndex:
    """Relative POSIX paths under `root`, sorted: `images` and `tables`; `empty` are tables of 0
    bytes."""

    root: Path
    images: tuple[str, ...]
    tables: tuple[str, ...]
    empty: tuple[str, ...] = field(default=())

    @cached_property
    def by_name(self) -> dict[str, list[str]]:
        """File name, with and without its extension, -> paths."""
        found: dict[str, list[str]] = {}
        for path in self.images:
            name = path.rpartition("/")[2]
            for key in (name, name.rpartition(".")[0]):
                found.setdefault(key, []).append(path)
        return found

    @cached_property
    def _image_set(self) -> frozenset[str]:
        return frozenset(self.images)

    def find(self, text: str) -> list[str]:
        """Images that `text` may name: a path or a name, with or without extension."""
        text = text.strip().replace("\\", "/").removeprefix("./")
        if text in self._image_set:
            return [text]
        folder, _, name = text.rpartition("/")
        paths = self.by_name.get(name, [])
        if not folder:
            return paths
        tail = "/" + folder.strip("/")
        return [path for path in paths if ("/" + folder_of(path)).endswith(tail)]


def folder_of(path: str) -> str:
    """The folder of a relative path; "" for the root."""
    return path.rpartition("/")[0]


def under(path: str, folder: str) -> bool:
    """Whether `path` lies in `folder` or deeper; "" is the root."""
    return not folder or path.startswith(folder + "/")


def ancestors(path: str) -> list[str]:
    """The folders above a relative path, the nearest first, the root "" last."""
    return [str(folder) if folder.name else "" for folder in PurePosixPath(path).parents]


def index_files(root: Path, *, images: str | None = None, skip: Collection[Path] = ()) -> FileIndex:
    """Walk `root`; hidden files, ``__MACOSX``, shard directories and the folders `skip` are left
    out.

    `images`: folder to which the images are restricted. Raises ``DataError`` where nothing is found
    and ``MisuseError`` if that folder doesn't exist.
    """
    if images is not None and not (root / images).is_dir():
        raise MisuseError(f"--images {images}: there is no such folder in {root}.")
    restriction = "" if images is None else PurePosixPath(images).as_posix().strip("./")
    found = sorted(_walk(root, {path.resolve() for path in skip}))
    pictures = tuple(
        path for path in found if _suffix(path) in IMAGE_SUFFIXES and under(path, restriction)
    )
    tables = tuple(path for path in found if _suffix(path) in TABLE_SUFFIXES)
    empty = tuple(path for path in tables if (root / path).stat().st_size == 0)
    if not pictures and len(tables) == len(empty):
        raise DataError(
            f"{root} holds no images and no CSV ({len(found)} other files): give the folder of the "
            f"unpacked download as --src."
        )
    return FileIndex(root, pictures, tuple(path for path in tables if path not in empty), empty)


def _walk(root: Path, skip: Collection[Path]) -> Iterable[str]:
    for folder, folders, names in os.walk(root, followlinks=True):
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".")
            and name != "__MACOSX"
            and Path(folder, name).resolve() not in skip
        ]
        if MANIFEST_NAME in names:
            folders.clear()
            continue
        relative = Path(folder).relative_to(root)
        for name in names:
            if not name.startswith("."):
                yield (relative / name).as_posix()


def _suffix(path: str) -> str:
    return PurePosixPath(path).suffix.lower()
