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
    """Print `record` as a line of JSON, unless stdout is a terminal: JSON is for programs."""
    if not is_terminal(sys.stdout):
        _write(lambda encoding: json_text(record, encoding), sys.stdout)


def is_terminal(stream: TextIO | None) -> bool:
    """Whether what is printed to `stream` goes to a terminal. Raises ``ValueError`` if it is
    closed."""
    return stream is not None and stream.isatty()


def can_redraw(stream: TextIO | None) -> bool:
    """Whether a line on `stream` can be replaced: on a terminal. The cell of a notebook keeps each
    state of a line, though its ``!command`` has a terminal."""
    in_notebook = "JPY_PARENT_PID" in os.environ or "inline" in os.environ.get("MPLBACKEND", "")
    return is_terminal(stream) and not in_notebook


def _write(text: Callable[[str | None], str], stream: TextIO | None) -> None:
    # A command may be started without a stream: `>&-`.
    if stream is not None:
        print(text(stream.encoding), file=stream, flush=True)


def open_console(*, stderr: bool = False, **settings: Any) -> "Console":
    """A console for tables and progress; names from the data are not parsed as markup.

    Its width is that of the terminal, or $COLUMNS, or 80 columns.
    """
    from rich.console import Console
    from rich.text import Text

    class SafeConsole(Console):
        def render_str(self, text: str, **styles: Any) -> Text:
            return super().render_str(printable(text, self.encoding), **styles)

    return SafeConsole(
        markup=False,
        highlight=False,
        emoji=False,
        stderr=stderr,
        # Jupyter sets FORCE_COLOR, which rich takes for a terminal.
        force_terminal=can_redraw(sys.stderr if stderr else sys.stdout),
        force_jupyter=False,
        **settings,
    )


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
