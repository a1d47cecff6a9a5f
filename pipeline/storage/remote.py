"""A shard directory at an fsspec URL."""

from functools import cached_property
from typing import Any

from pipeline.errors import DataError, MisuseError

# A request costs tens of milliseconds; a broken request loses at most this much.
BLOCK_BYTES = 8 * 2**20


def is_remote(directory: str) -> bool:
    """Whether `directory` is a URL other than file://."""
    protocol, separator, _ = directory.partition("://")
    return bool(separator) and protocol != "file"


def open_url(url: str, *, prefix: str = "") -> tuple[Any, str]:
    """The file system of an fsspec URL and the path in it; raises ``MisuseError`` that begins with
    `prefix`, such as the option."""
    import fsspec

    try:
        filesystem, root = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise MisuseError(f"{prefix}{url} can't be opened: {error}.") from error
    return filesystem, root.rstrip("/")


class RemoteFolder:
    """The files below `url`. Every method raises ``DataError`` that names the file."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        return open_url(self.url, prefix="--shards ")

    def read(self, name: str) -> bytes:
        """All bytes of a small file."""
        return bytes(self._call("cat_file", name))

    def read_block(self, name: str, start: int) -> bytes:
        """At most BLOCK_BYTES from `start`, which is before the end; retries once."""
        end = start + BLOCK_BYTES
        try:
            block = self._call("cat_file", name, start=start, end=end)
        except DataError:
            block = b""
        if block := bytes(block or self._call("cat_file", name, start=start, end=end)):
            return block
        raise DataError(f"{self.url}/{name} ends after {start} bytes: it was cut off.")

    def size_bytes(self, name: str) -> int:
        """The size of a file."""
        size = self._call("info", name).get("size")
        if not isinstance(size, int):
            raise DataError(f"{self.url}/{name} has no size: the server does not tell it.")
        return size

    def _call(self, method: str, name: str, **arguments: Any) -> Any:
        """Call a method of the file system."""
        filesystem, root = self._opened
        try:
            return getattr(filesystem, method)(f"{root}/{name}", **arguments)
        except Exception as error:  # each file system has its own errors
            reason = " ".join(str(error).split()) or type(error).__name__
            if isinstance(error, FileNotFoundError):
                reason = "No such file or directory"
            raise DataError(f"{self.url}/{name} can't be read ({reason}).") from error
