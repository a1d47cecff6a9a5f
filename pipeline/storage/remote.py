"""A shard directory at an fsspec URL: its files, block by block."""

from functools import cached_property
from typing import Any

from pipeline.errors import DataError, MisuseError

# A request costs tens of milliseconds, what is lost by a broken one is this much.
BLOCK_BYTES = 8 * 2**20


def is_remote(directory: str) -> bool:
    """Whether `directory` is a URL that names another place than this machine's folders."""
    protocol, found, _ = directory.partition("://")
    return bool(found) and protocol != "file"


def open_url(url: str, *, said: str = "") -> tuple[Any, str]:
    """The file system of an fsspec URL and the path in it; raises ``MisuseError``, in which `said`
    stands before the URL."""
    import fsspec

    try:
        filesystem, root = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise MisuseError(f"{said}{url} can't be opened: {error}.") from error
    return filesystem, root.rstrip("/")


class RemoteFolder:
    """The files beneath `url`. Every method raises ``DataError`` that names the file."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        return open_url(self.url, said="--shards ")

    def read(self, name: str) -> bytes:
        """A small file."""
        filesystem, root = self._opened
        try:
            return bytes(filesystem.cat_file(f"{root}/{name}"))
        except Exception as error:  # every file system has errors of its own
            raise self._unreadable(name, error) from error

    def read_block(self, name: str, start: int) -> bytes:
        """At most BLOCK_BYTES from `start` on, which is before the end; one retry."""
        filesystem, root = self._opened
        for attempt in (0, 1):
            try:
                block = bytes(
                    filesystem.cat_file(f"{root}/{name}", start=start, end=start + BLOCK_BYTES)
                )
            except Exception as error:
                if attempt:
                    raise self._unreadable(name, error) from error
            else:
                if block:
                    return block
        raise DataError(f"{self.url}/{name} ends after {start} bytes: it was cut off.")

    def size_bytes(self, name: str) -> int:
        filesystem, root = self._opened
        try:
            return int(filesystem.info(f"{root}/{name}")["size"])
        except Exception as error:
            raise self._unreadable(name, error) from error

    def _unreadable(self, name: str, error: Exception) -> DataError:
        reason = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, FileNotFoundError):
            reason = "No such file or directory"
        return DataError(f"{self.url}/{name} can't be read ({reason}).")
