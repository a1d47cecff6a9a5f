"""What the commands print: nothing that a terminal obeys, nothing that the stream can't encode.

``print_line`` and ``print_json`` need no rich, so that ``--help`` is fast.
"""

import errno
import io
import os
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TextIO

from pipeline.printable import json_text, printable

if TYPE_CHECKING:
    from rich.console import Console

# The reader of a pipe or the terminal is gone.
_GONE = (errno.EPIPE, errno.EIO)


def print_line(text: str, *, err: bool = False) -> None:
    """Print a line, or several, to stdout or stderr."""
    _write(lambda encoding: printable(text, encoding), sys.stderr if err else sys.stdout)


def print_json(record: Mapping[str, Any]) -> None:
    """Print `record` as a line of JSON."""
    _write(lambda encoding: json_text(record, encoding), sys.stdout)


def _write(text: Callable[[str | None], str], stream: TextIO | None) -> None:
    # A command may be started without a stream: `>&-`.
    if stream is not None:
        print(text(stream.encoding), file=stream, flush=True)


def open_console(**settings: Any) -> "Console":
    """A console for tables and progress bars; names from the data are not parsed as markup."""
    from rich.console import Console
    from rich.text import Text

    class SafeConsole(Console):
        def render_str(self, text: str, **styles: Any) -> Text:
            return super().render_str(printable(text, self.encoding), **styles)

    return SafeConsole(markup=False, highlight=False, emoji=False, **settings)


class Stream(io.FileIO):
    """A file descriptor whose writes don't fail: after an error they go nowhere.

    Attributes:
        error: the first error, unless the reader has gone.
    """

    error: OSError | None = None

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data) or 0
        except OSError as error:
            if error.errno not in _GONE:
                self.error = error
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            return len(data)


def guard_streams() -> None:
    """Make writes to stdout and stderr succeed: letters that they can't encode are escaped, and a
    command goes on without its output when nobody reads it."""
    for name in ("stdout", "stderr"):
        stream: TextIO = getattr(sys, name)
        # Tests and notebooks put streams of their own here.
        if stream is not getattr(sys, f"__{name}__") or not isinstance(stream, io.TextIOWrapper):
            continue
        stream.flush()
        setattr(sys, name, _guarded(stream))


def _guarded(stream: io.TextIOWrapper) -> TextIO:
    raw = Stream(stream.fileno(), "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors="backslashreplace",
        # Unbuffered streams (python -u, as torchrun starts ranks) write at least by line here.
        line_buffering=stream.line_buffering or stream.write_through,
        write_through=stream.write_through,
    )


def output_error() -> OSError | None:
    """Why stdout could not be written, unless its reader has gone."""
    if sys.stdout is not None:
        sys.stdout.flush()
    buffer = getattr(sys.stdout, "buffer", None)
    raw = getattr(buffer, "raw", None)
    return raw.error if isinstance(raw, Stream) else None
