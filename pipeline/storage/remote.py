"""A shard directory at an fsspec URL."""

from collections.abc import Callable
from functools import cached_property, partial
from typing import Any

from pipeline.errors import DataError, MisuseError

# Libraries with errors of their own.
_LIBRARIES = ("botocore", "aiobotocore", "google", "gcsfs", "azure", "adlfs", "aiohttp", "requests")
_S3_ADVICE = (
    "Set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; for a public bucket "
    "FSSPEC_S3='{\"anon\": true}', for another server than Amazon's AWS_ENDPOINT_URL."
)
_GCS_ADVICE = (
    "Set GOOGLE_APPLICATION_CREDENTIALS to a key file; for a public bucket "
    'FSSPEC_GCS=\'{"token": "anon"}\'.'
)
_ADVICE = {"s3": _S3_ADVICE, "s3a": _S3_ADVICE, "gs": _GCS_ADVICE, "gcs": _GCS_ADVICE}

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
    return _Guarded(filesystem, prefix + url), root.rstrip("/")


class _Guarded:
    """A file system whose methods raise ``DataError``, which begins with `label`, for the errors of
    its server's library and for missing rights; other errors stay ``OSError``."""

    def __init__(self, filesystem: Any, label: str) -> None:
        self._filesystem, self._label = filesystem, label

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        value = getattr(self._filesystem, name)
        return partial(self._call, value) if callable(value) else value

    def _call(self, method: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        try:
            return method(*arguments, **options)
        except Exception as error:  # each file system has its own errors
            library = type(error).__module__.partition(".")[0]
            if library not in _LIBRARIES and not isinstance(error, PermissionError):
                raise
            reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
            protocol = self._label.partition("://")[0].rpartition(" ")[2]
            advice = _ADVICE.get(protocol, "Check the address and the credentials of its library.")
            raise DataError(f"{self._label} can't be used ({reason}). {advice}") from error


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
        raise DataError(
            f"{self.url}/{name} ends after {start} bytes: it was cut off. Upload it again."
        )

    def size_bytes(self, name: str) -> int:
        """The size of a file."""
        size = self._call("info", name).get("size")
        if not isinstance(size, int):
            raise DataError(
                f"{self.url}/{name} has no size, because the server does not state it: "
                f"download the files, and give their folder."
            )
        return size

    def _call(self, method: str, name: str, **arguments: Any) -> Any:
        """Call a method of the file system."""
        filesystem, root = self._opened
        try:
            return getattr(filesystem, method)(f"{root}/{name}", **arguments)
        except DataError:
            raise
        except Exception as error:  # each file system has its own errors
            reason = " ".join(str(error).split()) or type(error).__name__
            if isinstance(error, FileNotFoundError):
                reason = "No such file or directory"
            raise DataError(f"{self.url}/{name} can't be read ({reason}).") from error
