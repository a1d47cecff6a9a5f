"""How far long work is: the last line of a terminal, a whole line now and then elsewhere."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, Self

from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column

from pipeline.duration_text import clock

# Between lines where they stay, and between states of a line on a terminal.
LINE_SECONDS, REDRAW_SECONDS = 30.0, 0.1
# A terminal of this width has room for a bar of _BAR columns.
_WIDE, _BAR = 110, 20

# Texts in the order of importance; called only when they are printed.
Parts = Callable[[], Sequence[str]]


class ProgressCallback(Protocol):
    """Called with the additional progress."""

    def __call__(self, count: int, /) -> None: ...


class ProgressLine:
    """Shows the state of one piece of work on `console`.

    Args:
        shown: False to show nothing, as on all ranks but one.
        stays: whether the line stays on a terminal after the work.
        now: a clock, in seconds.
    """

    def __init__(
        self,
        console: Console,
        *,
        shown: bool = True,
        stays: bool = False,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console, self._shown, self._now = console, shown, now
        self._start = self._last = now()
        redraws = shown and console.is_terminal and not console.is_dumb_terminal
        self._bar = _BAR if redraws and console.width >= _WIDE else 0
        self._drawn: Progress | None = None
        if redraws:
            text = TextColumn("{task.description}", table_column=Column(no_wrap=True))
            self._drawn = Progress(
                text,
                *[BarColumn(bar_width=_BAR)] * bool(self._bar),
                console=console,
                refresh_per_second=2,
                transient=not stays,
            )
            self._drawn.add_task("", total=1.0)
            self._drawn.start()

    def update(self, share: float, parts: Parts, *, soon: bool = False) -> None:
        """Show that a `share` of the work, 0 to 1, is done, and as many of the `parts` as fit.

        Where lines stay, one is printed every LINE_SECONDS; `soon` prints the first at once, and
        the next ones after twice the time.
        """
        room = self._console.width
        if self._drawn is not None:
            text = fitted(parts(), room - self._bar - 1 if self._bar else room)
            self._drawn.update(self._drawn.task_ids[0], completed=share, description=text)
            return
        now = self._now()
        pause = min(LINE_SECONDS, (now - self._start) / 2) if soon else LINE_SECONDS
        if self._shown and now - self._last >= pause:
            self._last = now
            self._console.print(fitted(parts(), room), soft_wrap=True)

    def close(self) -> None:
        if self._drawn is not None:
            self._drawn.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


@contextmanager
def counted_progress(
    console: Console, verb: str, total: float, *, unit: str, scale: float = 1, shown: bool = True
) -> Iterator[ProgressCallback]:
    """Show the share of `total`, the time left and the rate of work that counts its progress.

    `total` and the calls of the result count in steps of 1, the rate in units of `scale`.
    """
    start = drawn = time.monotonic()
    done = 0

    def advance(count: int) -> None:
        nonlocal done, drawn
        done += count
        now = time.monotonic()
        if now - drawn >= REDRAW_SECONDS or done >= total:
            drawn = now
            parts = partial_parts(verb, done, total, seconds=now - start, unit=unit, scale=scale)
            line.update(min(1.0, done / total) if total else 1.0, lambda: parts)

    with ProgressLine(console, shown=shown) as line:
        yield advance


def partial_parts(
    verb: str, done: float, total: float, *, seconds: float, unit: str, scale: float
) -> list[str]:
    """What, share, time left and rate of work of which `done` of `total` took so many `seconds`."""
    share = min(1.0, done / total) if total else 1.0
    left = [f"{clock(seconds * (1 - share) / share)} left"] if share else []
    return [f"{verb} {share:.0%}", *left, f"{done / scale / max(seconds, 1e-3):,.0f} {unit}/s"]


def fitted(parts: Sequence[str], width: int) -> str:
    """A line of `parts`: the first, and each further one that has room in `width` columns."""
    line = parts[0]
    for part in parts[1:]:
        if cell_len(longer := f"{line}  {part}") <= width:
            line = longer
    return line
