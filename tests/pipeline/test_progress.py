"""Progress on a terminal, in a pipe and in a notebook."""

import io
import re
import sys
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from benchmarks.measuring.alternate import Rounds
from pipeline.console import can_redraw, is_terminal, open_console, print_json, print_line
from pipeline.progress import ProgressLine, fitted, partial_parts

LONG_NAME = "a name that has exactly forty letters it"


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def on_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Make stdout a terminal; not as a fixture, after which pytest sets stdout again."""
    for name in ("JPY_PARENT_PID", "MPLBACKEND", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    monkeypatch.setattr(sys, "stdout", stream)
    return stream


def lines_at(times: list[float], *, soon: bool = False, shown: bool = True) -> list[str]:
    """What a pipe gets from updates at these seconds."""
    seconds = iter([0.0, *times])
    out = io.StringIO()
    console = Console(file=out, force_terminal=False, width=80)
    line = ProgressLine(console, shown=shown, now=lambda: next(seconds))
    with line:
        for time in times:
            line.update(0.5, [f"at {time:g}"].copy, soon=soon)
    return out.getvalue().splitlines()


def test_a_pipe_gets_a_line_every_thirty_seconds() -> None:
    assert lines_at([1, 29, 30, 31, 59, 61, 90, 200]) == ["at 30", "at 61", "at 200"]
    assert lines_at([1, 100], shown=False) == []


def test_a_training_s_first_lines_come_soon() -> None:
    times = [1, 1.5, 2, 3, 4, 7, 8, 20, 50, 70, 81, 111]
    expected = [1, 2, 4, 8, 20, 50, 81, 111]
    assert lines_at(times, soon=True) == [f"at {time:g}" for time in expected]


@pytest.mark.parametrize("columns", [80, 200])
def test_a_terminal_s_line_fits(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    terminal = on_terminal(monkeypatch)
    monkeypatch.setenv("COLUMNS", str(columns))
    with ProgressLine(open_console(), stays=True) as line:
        line.update(0.25, lambda: [LONG_NAME, "1:02:03 left", *["repetition 3 of 7"] * 9])
    shown = re.split(r"[\r\n]+", re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", terminal.getvalue()))
    assert max(map(len, shown)) <= columns
    assert any(f"{LONG_NAME}  1:02:03 left" in text for text in shown)
    assert "\u2026" not in terminal.getvalue()
    assert ("\u2501" in terminal.getvalue()) == (columns == 200)


def test_parts_that_fit_are_kept_in_their_order() -> None:
    assert fitted(["ab", "cd", "a long part", "ef"], 12) == "ab  cd  ef"
    assert fitted(["the first one always"], 3) == "the first one always"
    assert fitted(["\u732b\u732b", "x"], 6) == "\u732b\u732b"


def test_the_parts_of_counted_work() -> None:
    parts = partial_parts("writing", 25, 100, seconds=20.0, unit="images", scale=1)
    assert parts == ["writing 25%", "1:00 left", "1 images/s"]
    nothing = partial_parts("writing", 0, 0, seconds=0.0, unit="MB", scale=10**6)
    assert nothing == ["writing 100%", "0:00 left", "0 MB/s"]
    assert partial_parts("x", 0, 5, seconds=1.0, unit="MB", scale=1) == ["x 0%", "0 MB/s"]


def test_rounds_say_what_is_measured_and_the_time_left() -> None:
    rounds = Rounds(names=("a", "b"), rounds=3, warmup=1)
    assert rounds.parts() == ["a", "warm-up"]
    rounds.add("a", 10.0)
    # b has not been called: as long as the mean call.
    assert rounds.parts() == ["b", "0:50 left", "warm-up"]
    rounds.add("b", 30.0)
    assert rounds.parts() == ["a", "1:20 left", "repetition 1 of 2"]
    rounds.add("a", 50.0)
    assert rounds.round_seconds() == 50.0 and rounds.share == 0.5
    assert rounds.parts() == ["b", "1:50 left", "repetition 1 of 2"]


def test_json_is_not_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    print_json({"a": 1})
    print_line("for people")
    assert terminal.getvalue() == "for people\n"
    # That of a notebook's command is one, too.
    monkeypatch.setenv("JPY_PARENT_PID", "1")
    print_json({"a": 1})
    assert terminal.getvalue() == "for people\n"


@pytest.mark.parametrize(
    ("name", "value"), [("JPY_PARENT_PID", "1"), ("MPLBACKEND", "module://matplotlib_inline.x")]
)
def test_a_notebook_s_line_is_not_redrawn(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """Though its command has a terminal, and rich is told so."""
    terminal = on_terminal(monkeypatch)
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert is_terminal(terminal) and can_redraw(terminal) and open_console().is_terminal
    monkeypatch.setenv(name, value)
    assert is_terminal(terminal) and not can_redraw(terminal)
    assert not open_console().is_terminal
    with ProgressLine(open_console()) as line:
        line.update(0.5, ["half"].copy, soon=True)
    assert terminal.getvalue() == "half\n"


@pytest.mark.parametrize("stream", [None, io.StringIO()])
def test_what_is_no_terminal(stream: Any) -> None:
    assert not is_terminal(stream) and not can_redraw(stream)


def test_a_pipe_is_no_terminal_though_colors_are_forced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    console: Callable[..., Console] = open_console
    assert not console().is_terminal
