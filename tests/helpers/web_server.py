"""A web server in this process that serves a folder, and for some files does as a test says."""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PAGE = b"<!DOCTYPE html>\n<html><head><title>Log in</title></head></html>\n"


class Request(BaseHTTPRequestHandler):
    """One request; an answer calls ``begin`` and then ``send``."""

    site: "Site"
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.close_connection = True
        name = self.path.rpartition("/")[2]
        self.site.requests.append((name, self.asked[0]))
        answer = self.site.answers.get(name, self.site.others)
        with suppress(ConnectionError):
            answer(self, self.site.content(name))

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    @property
    def asked(self) -> tuple[int, int]:
        """The range of bytes, of all by default."""
        stated = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        return (int(stated[1]), int(stated[2]) + 1) if stated else (0, 2**63)

    def begin(self, status: int, **headers: object) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def send(self, data: bytes) -> None:
        if self.command != "HEAD":
            self.wfile.write(data)
            self.site.sent_bytes += len(data)


Answer = Callable[[Request, bytes], None]


class Site:
    """A folder at `url`; `answers` by the name of a file replace those of `others`.

    `requests` are the names and first bytes that were asked for. `released` is set at the end:
    answers that hang wait for it.
    """

    def __init__(self, folder: Path, url: str) -> None:
        self.url, self._folder = url, folder
        self.others: Answer = with_ranges
        self.answers: dict[str, Answer] = {}
        self.requests: list[tuple[str, int]] = []
        self.sent_bytes = 0
        self.released = threading.Event()

    def content(self, name: str) -> bytes:
        path = self._folder / name
        return path.read_bytes() if path.is_file() else b""


@contextmanager
def served(folder: Path) -> Iterator[Site]:
    class Handler(Request):
        pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        site = Handler.site = Site(folder, f"http://127.0.0.1:{server.server_port}/shards")
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield site
        site.released.set()
        server.shutdown()
        thread.join()


def with_ranges(request: Request, data: bytes) -> None:
    _send_part(request, data, *request.asked)


def without_ranges(request: Request, data: bytes) -> None:
    request.begin(200, Content_Length=len(data))
    request.send(data)


def short(request: Request, data: bytes) -> None:
    """27 bytes of those that were asked for, after a moment."""
    start, end = request.asked
    request.site.released.wait(0.05)
    _send_part(request, data, start, min(end, start + 27))


def slow(request: Request, data: bytes) -> None:
    """Ten bytes at a time, twenty times a second."""
    start, end = request.asked
    request.begin(206, Content_Range=f"bytes {start}-{len(data) - 1}/{len(data)}")
    for place in range(start, min(end, len(data)), 10):
        request.send(data[place : place + 10])
        if request.site.released.wait(0.05):
            return


def silent(request: Request, data: bytes) -> None:
    request.site.released.wait()


def silent_once(request: Request, data: bytes) -> None:
    """Nothing when the file is asked for first."""
    name, _ = request.site.requests[-1]
    if [asked for asked, _ in request.site.requests].count(name) == 1:
        request.site.released.wait()
    with_ranges(request, data)


def endless(request: Request, data: bytes) -> None:
    """JSON that doesn't end, in place of a range."""
    start, end = request.asked
    request.begin(206, Content_Range=f"bytes {start}-{end - 1}/{len(data)}")
    _send_endlessly(request)


def endless_whole(request: Request, data: bytes) -> None:
    """JSON that doesn't end, in place of the whole file."""
    request.begin(200)
    _send_endlessly(request)


def constant(content: bytes, *, ranges: bool = False) -> Answer:
    """Sends `content` in place of the file."""
    send = with_ranges if ranges else without_ranges
    return lambda request, _: send(request, content)


def _send_part(request: Request, data: bytes, start: int, end: int) -> None:
    part = data[start:end]
    if not part:
        request.begin(416, Content_Length=0, Content_Range=f"bytes */{len(data)}")
        return
    content_range = f"bytes {start}-{start + len(part) - 1}/{len(data)}"
    request.begin(206, Content_Range=content_range, Content_Length=len(part))
    request.send(part)


def _send_endlessly(request: Request) -> None:
    while not request.site.released.is_set():
        request.send(b'{"": ' * 2**16)
