"""Read parts of a file over HTTP: never more than asked for, with empty bytes while nothing comes.

fsspec's own ``cat_file`` holds the whole answer in memory, however long it is.
"""

import asyncio
import re
from collections.abc import Coroutine, Generator, Iterator
from typing import Any, TypeVar

from pipeline.watchdog import LEAST_BYTES

Result = TypeVar("Result")

# How long to wait for bytes without telling the caller.
_POLL_SECONDS = 0.2
# After so long without any byte a request fails and is retried, as botocore's do.
_SILENT_SECONDS = 60


def http_blocks(
    filesystem: Any, url: str, start: int, asked: int, end: int
) -> Iterator[tuple[bytes, int | None]]:
    """Ask once for `asked` bytes from `start` of a file. Yields them in order, and with them the
    file's size if it is known; empty bytes while nothing comes.

    A server without ranges sends the whole file: its first `start` bytes are skipped, and the
    others are yielded up to `end`. Raises an error of aiohttp, or ``FileNotFoundError``.
    """
    loop = filesystem.loop
    request = _get(filesystem, url, f"bytes={start}-{start + asked - 1}")
    response = yield from _polled(loop, request)
    try:
        if response.status == 416:  # there is nothing from `start` on
            return
        is_part = response.status == 206
        place, end = (start, start + asked) if is_part else (0, end)
        size = _size(response) if is_part else None
        while place < end:
            most = min(LEAST_BYTES, end - place)
            piece = yield from _polled(loop, _read(response.content, most))
            before, place = place, place + len(piece)
            if len(piece) < most:
                yield piece[max(start - before, 0) :], size if is_part else place
                return
            yield piece[max(start - before, 0) :], size
    finally:
        loop.call_soon_threadsafe(response.close)


def http_size(filesystem: Any, url: str) -> Generator[tuple[bytes, None], None, int | None]:
    """Yields empty bytes while nothing comes; returns the size of a file, None if the server does
    not tell it."""
    response = yield from _polled(filesystem.loop, _get(filesystem, url, "bytes=0-0"))
    filesystem.loop.call_soon_threadsafe(response.close)
    return _size(response)


def _size(response: Any) -> int | None:
    headers = response.headers
    if response.status != 200:
        stated = re.search(r"/(\d{1,18})$", headers.get("Content-Range", ""))
    elif headers.get("Content-Encoding", "identity") == "identity":
        stated = re.fullmatch(r"(\d{1,18})", headers.get("Content-Length", ""))
    else:
        stated = None
    return int(stated[1]) if stated else None


async def _get(filesystem: Any, url: str, byte_range: str) -> Any:
    """The response, whose body is not read yet."""
    import aiohttp

    options = dict(filesystem.kwargs)
    # The caller limits the whole time: the library's limit would end slow but steady answers.
    limits = aiohttp.ClientTimeout(sock_connect=_SILENT_SECONDS, sock_read=_SILENT_SECONDS)
    options.setdefault("timeout", limits)
    # Ranges count the bytes of the file, not those of its compressed form.
    headers = {"Range": byte_range, "Accept-Encoding": "identity"}
    options["headers"] = dict(options.get("headers") or {}) | headers
    session = await filesystem.set_session()
    response = await session.get(filesystem.encode_url(url), **options)
    if response.status == 404:
        response.close()
        raise FileNotFoundError(url)
    if response.status != 416:
        response.raise_for_status()
    return response


async def _read(content: Any, size: int) -> bytes:
    """The next `size` bytes, fewer at the end."""
    data = bytearray()
    while len(data) < size and (piece := await content.read(size - len(data))):
        data += piece
    return bytes(data)


def _polled(
    loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Result]
) -> Generator[tuple[bytes, None], None, Result]:
    """Run a coroutine in the loop of another thread; yields empty bytes while it takes time, and
    cancels it if the generator is closed."""
    future = asyncio.run_coroutine_threadsafe(coroutine, loop)
    try:
        while True:
            try:
                return future.result(_POLL_SECONDS)
            except TimeoutError:
                if future.done():  # just now, or it raised TimeoutError
                    return future.result()
            yield b"", None
    finally:
        future.cancel()
