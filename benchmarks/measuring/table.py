"""The table of a benchmark, its finding, and its result as JSON."""

import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks.measuring.intervals import spread
from benchmarks.measuring.provenance import busy_warning, environment
from benchmarks.measuring.result_file import publish

if TYPE_CHECKING:
    pass
from benchmarks.measuring.alternate import Measurement
from benchmarks.measuring.text import figure


def report(
    title: str,
    unit: str,
    measurements: Sequence[Measurement],
    *,
    kind: str,
    rows: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
    facts: Mapping[str, Any],
    columns: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
    ratios: bool = True,
    notes: Sequence[str] = (),
    finding: str | None = None,
    output: str | None = None,
) -> None:
    """Print a table, with `ratios` to the first row where there are several, `notes` and the
    `finding` (by default the last row beside the first); then the bundle, to `output` too.

    Args:
        kind: the command that measured, one of ``result_file.KINDS`` or another name.
        rows: what each row measured, name -> field -> value, where others read it.
        columns: more of the table, header -> row -> text.
        facts: more of the result; they may have none of its own names.
    """
    finding = finding or default_finding(unit, measurements)
    _show_table(title, unit, measurements, columns, ratios and len(measurements) > 1)
    for line in (*notes, busy_warning(), finding):
        if line:
            print(line)
    intervals = {row.name: row.interval for row in measurements}
    record = {
        "kind": kind,
        "benchmark": title,
        "finding": finding,
        "unit": unit,
        "median": {row.name: row.median for row in measurements},
        "interval": {name: (each.low, each.high) for name, each in intervals.items()},
        "confidence": {name: each.confidence for name, each in intervals.items()},
        "spread": {row.name: spread(row.values) for row in measurements},
        "values": {row.name: row.values for row in measurements},
        "rows": dict(rows),
        "environment": environment(),
    }
    if taken := record.keys() & facts.keys():
        raise ValueError(f"Facts by names that a bundle has already: {sorted(taken)}")
    publish({**record, **facts}, output)


def _show_table(
    title: str,
    unit: str,
    measurements: Sequence[Measurement],
    columns: Mapping[str, Mapping[str, str]],
    ratios: bool,
) -> None:
    table = Table(title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column(no_wrap=True)
    for header in (f"{unit} median", "lowest", "highest", *["ratio"] * ratios, *columns):
        table.add_column(header, justify="right")
    for row in measurements:
        figures = (row.median, min(row.values), max(row.values))
        beside = f"{row.median / measurements[0].median:.3f}"
        more = (texts.get(row.name, "") for texts in columns.values())
        table.add_row(row.name, *map(figure, figures), *[beside] * ratios, *more)
    # Terminal width: a table piped into a file is not cut.
    Console(width=None if sys.stdout.isatty() else 120).print(table)


# A figure -> the header, the factor and the format of its column.
ColumnFormats = Mapping[str, tuple[str, float, str]]


def figure_columns(
    figures: Mapping[str, Mapping[str, float | None]], formats: ColumnFormats
) -> dict[str, dict[str, str]]:
    """``report``'s columns of figures by row; one that nobody knows is left out."""
    shown = {}
    for name, (header, factor, style) in formats.items():
        known = {
            row: f"{factor * value:{style}}"
            for row, each in figures.items()
            if (value := each[name]) is not None
        }
        if known:
            shown[header] = known
    return shown


def default_finding(unit: str, measurements: Sequence[Measurement]) -> str:
    """The last of `measurements`, beside the first where there are several."""
    first, last = measurements[0], measurements[-1]
    span = f"({figure(last.interval.low)} to {figure(last.interval.high)})"
    sentence = f"{last.name}: {figure(last.median)} {unit} {span}"
    if len(measurements) > 1:
        sentence += f", {last.median / first.median:.3g} times {first.name}"
    return sentence + "."
