"""A shard directory at an fsspec URL."""

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property, partial
from typing import Any

from pipeline.errors import DataError, MisuseError
from pipeline.storage.answers import BEGINNING_BYTES, about_beginning
from pipeline.storage.http_answers import http_blocks, http_size
from pipeline.watchdog import limited_wait

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

    def read(self, name: str, most_bytes: int) -> bytes:
        """The first `most_bytes` bytes of a small file, or all of it."""
        poll, data = limited_wait(f"{self.url}/{name}"), bytearray()
        for block in self.fetch(name, 0, most_bytes):
            data += block
            poll(len(data))
        return bytes(data)

    def fetch(self, name: str, start: int, end: int) -> Generator[bytes]:
        """Yield the bytes from `start` to `end`, fewer if the file ends before. Over HTTP, also
        empty ones while nothing comes. Retries once if an answer fails or is empty."""
        failed = False
        while start < end:
            before = start
            try:
                for block, size in self._answer(name, start, end):
                    start += len(block)
                    end = end if size is None else min(end, size)
                    yield block
            except DataError:
                if failed:
                    raise
            if failed and start == before:
                return
            failed = start == before

    def _answer(self, name: str, start: int, end: int) -> Iterator[tuple[bytes, int | None]]:
        """Ask once: yield blocks, and the size of the file as far as it is known."""
        asked = min(BLOCK_BYTES, end - start)
        if self._is_http:
            filesystem, root = self._opened
            with self._errors(name):
                yield from http_blocks(filesystem, f"{root}/{name}", start, asked, end)
            return
        block = self.read_block(name, start)[: end - start]
        size = None
        if len(block) < asked:
            with suppress(DataError):
                size = self.size_bytes(name)
        yield block, size

    def read_block(self, name: str, start: int) -> bytes:
        """At most BLOCK_BYTES from `start`; nothing from the end on."""
        return bytes(self._call("cat_file", name, start=start, end=start + BLOCK_BYTES))

    def size_bytes(self, name: str) -> int:
        """The size of a file."""
        size = self._http_size(name) if self._is_http else self._call("info", name).get("size")
        if not isinstance(size, int):
            raise DataError(
                f"{self.url}/{name} has no size, because the server does not state it: "
                f"download the files, and give their folder.{self.about_beginning(name)}"
            )
        return size

    def about_beginning(self, name: str) -> str:
        """How a file begins, for a message; see ``answers.about_beginning``."""
        with suppress(DataError):
            return about_beginning(self.read(name, BEGINNING_BYTES))
        return ""

    @property
    def _is_http(self) -> bool:
        filesystem, _ = self._opened
        return bool(filesystem.protocol == ("http", "https"))

    def _http_size(self, name: str) -> int | None:
        filesystem, root = self._opened
        poll = limited_wait(f"{self.url}/{name}")
        with self._errors(name):
            answer = http_size(filesystem, f"{root}/{name}")
            while True:
                try:
                    next(answer)
                except StopIteration as end:
                    size: int | None = end.value
                    return size
                poll(0)

    def _call(self, method: str, name: str, **arguments: Any) -> Any:
        """Call a method of the file system."""
        filesystem, root = self._opened
        with self._errors(name):
            return getattr(filesystem, method)(f"{root}/{name}", **arguments)

    @contextmanager
    def _errors(self, name: str) -> Iterator[None]:
        """Turn errors of the file system into ``DataError`` that names the file."""
        try:
            yield
        except DataError:
            raise
        except Exception as error:  # each file system has its own errors
            reason = " ".join(str(error).split()) or type(error).__name__
            if isinstance(error, FileNotFoundError):
                reason = "No such file or directory"
            raise DataError(f"{self.url}/{name} can't be read ({reason}).") from error
