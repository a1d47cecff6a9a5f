"""Names from the data are printed as text: no stream fails, no terminal obeys, JSON stays JSON."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from rich.table import Table

from pipeline.commands import show_error
from pipeline.console import open_console, print_json, print_line
from pipeline.errors import DataError, MisuseError
from pipeline.printable import defused, printable, restored

ROOT = Path(__file__).parents[2]

# Name -> what a UTF-8 terminal and an ASCII one get.
NAMES = {
    "caf\xe9": ("caf\xe9", r"caf\xe9"),
    "\u732b": ("\u732b", r"\u732b"),
    "\U0001f600": ("\U0001f600", r"\U0001f600"),
    "\x1b]0;x\x07": (r"\x1b]0;x\x07", r"\x1b]0;x\x07"),
    "\x9b2J": (r"\x9b2J", r"\x9b2J"),
    "\u202egnp": (r"\u202egnp", r"\u202egnp"),
    "\x7f\r\t": (r"\x7f\r\t", r"\x7f\r\t"),
    "a\udcffb": (r"a\xffb", r"a\xffb"),
    "x\ud800": (r"x\ud800", r"x\ud800"),
    "[red]": ("[red]", "[red]"),
}


def text_of(stream: io.TextIOWrapper) -> str:
    stream.flush()
    assert isinstance(stream.buffer, io.BytesIO)
    return stream.buffer.getvalue().decode(stream.encoding)


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize("name", NAMES)
def test_names_are_printed_as_text(
    name: str, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It fails on other letters.
    printed = io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True)
    monkeypatch.setattr(sys, "stdout", printed)
    monkeypatch.setattr(sys, "stderr", printed)
    expected = NAMES[name][encoding == "ascii"]
    table = Table(name, title=name)
    table.add_row(name)
    console = open_console(width=60)
    print_line(f"class {name}.")
    console.print(f"class {name}.")
    console.print(table)
    show_error(DataError(f"class {name}."))
    show_error(MisuseError(f"class {name}."))
    text = text_of(printed)
    assert text.count(f"class {expected}.") == 4
    assert text.count(expected) == 7
    assert all(letter.isprintable() or letter == "\n" for letter in text)
    print_json({name: [name]})
    line = text_of(printed).removeprefix(text)
    assert json.loads(line) == {name: [name]}
    assert line[:-1].isprintable()


@pytest.mark.parametrize("kind", [DataError, MisuseError])
def test_errors_hold_printable_text(kind: type[DataError | MisuseError]) -> None:
    assert kind("a\x1b[2J\nb\u202e").format_message() == "a\\x1b[2J\nb\\u202e"


@pytest.mark.parametrize("cell", ["=1+1", "+x", "-x.jpg", "@SUM(A1)", "\tx", "'=1", "''-a", "'-5"])
def test_formulas_are_defused_and_restored(cell: str) -> None:
    assert defused([cell]) == [f"'{cell}"]
    assert restored(f"'{cell}") == cell


@pytest.mark.parametrize("cell", ["", "-1.5", "+3e-7", "-inf", "a=b", "'a'", "'", "0", "x-1"])
def test_numbers_and_other_text_stay(cell: str) -> None:
    assert defused([cell]) == [cell]
    assert restored(cell) == cell


def test_printable_text_is_not_changed_again() -> None:
    for name in NAMES:
        assert printable(printable(name)) == printable(name)


COMMAND = """
import click, sys
from pipeline.console import print_line
from pipeline.options import Command

@click.command(cls=Command)
def main():
    for number in range(3000):
        print_line(f"line {number} of a text")
    print("plain \\xe9 \\ud800")
    print("done", file=sys.stderr)

main()
"""


def run(
    stdout: int, environment: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", COMMAND],
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )


def test_a_command_ends_its_work_though_nobody_reads_its_output() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    result = run(writer)
    os.close(writer)
    assert (result.returncode, result.stderr) == (0, "done\n")


def test_a_command_without_an_output_ends_its_work() -> None:
    command = ["sh", "-c", 'exec "$0" "$@" >&-', sys.executable, "-c", COMMAND]
    result = subprocess.run(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "done\n")


def test_a_full_disk_under_the_output_is_said_once() -> None:
    with Path("/dev/full").open("w") as full:
        result = run(full.fileno())
    assert result.returncode == 1
    text = "Error: The output can't be written (No space left on device)."
    assert result.stderr.splitlines() == ["done", text]


@pytest.mark.parametrize("environment", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "POSIX"}])
def test_plain_prints_of_libraries_do_not_fail(environment: Mapping[str, str]) -> None:
    result = run(subprocess.PIPE, environment)
    assert (result.returncode, result.stderr) == (0, "done\n")
    assert "\\ud800" in result.stdout
