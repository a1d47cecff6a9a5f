"""The report of a benchmark: a table, its finding, and its result as JSON."""

import textwrap
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from benchmarks.measuring.alternate import Measurement
from benchmarks.measuring.intervals import spread
from benchmarks.measuring.provenance import busy_warning, environment
from benchmarks.measuring.result_file import publish
from benchmarks.measuring.targets import Target
from benchmarks.measuring.text import figure
from pipeline.console import open_console, print_line
from pipeline.table import Table, print_table

# Field -> header, factor and format of its column.
ColumnFormats = Mapping[str, tuple[str, float, str]]
_EMPTY: Mapping[str, Any] = MappingProxyType({})


def report(
    title: str,
    unit: str,
    measurements: Sequence[Measurement],
    *,
    kind: str,
    facts: Mapping[str, Any],
    rows: Mapping[str, Mapping[str, Any]] = _EMPTY,
    columns: Mapping[str, Mapping[str, str]] = _EMPTY,
    ratios: bool = True,
    targets: Sequence[Target] | None = None,
    absent: Mapping[str, str] | None = None,
    notes: Sequence[str] = (),
    finding: str | None = None,
    output: str | None = None,
) -> None:
    """Print the table, the targets, `notes` and the `finding`; then print the result as one line
    of JSON, unless stdout is a terminal, and write it to `output`.

    Args:
        kind: the command that measured: one of ``result_file.KINDS`` or another name.
        facts: further entries of the result; their names must differ from those of this function.
        rows: name -> field -> value of what each row measured.
        columns: further columns of the table in the order of importance, header -> row -> text.
        ratios: whether the table has a column of ratios to the first row.
        targets: recorded as "bars".
        absent: name -> reason of each candidate that could not be measured.
        finding: by default the last row compared with the first.
    """
    finding = finding or default_finding(unit, measurements)
    _print_measurements(title, unit, measurements, columns, ratios and len(measurements) > 1)
    absences = [f"{name}: {reason}" for name, reason in (absent or {}).items()]
    for line in (*map(str, targets or ()), *absences, *notes, busy_warning(), finding):
        if line:
            print_line(line)
    record = _record(title, unit, measurements)
    record |= {"kind": kind, "finding": finding, "rows": dict(rows)}
    if targets is not None:
        record["bars"] = [target.to_dict() for target in targets]
    if absent is not None:
        record["absent"] = absent
    if duplicates := record.keys() & facts.keys():
        raise ValueError(f"The result has entries of these names already: {sorted(duplicates)}")
    publish({**record, **facts}, output)


def _record(title: str, unit: str, measurements: Sequence[Measurement]) -> dict[str, Any]:
    return {
        "benchmark": title,
        "unit": unit,
        "median": {row.name: row.median for row in measurements},
        "interval": {row.name: row.interval.limits for row in measurements},
        "confidence": {row.name: row.interval.confidence for row in measurements},
        "spread": {row.name: spread(row.values) for row in measurements},
        "values": {row.name: row.values for row in measurements},
        "environment": environment(),
    }


def _print_measurements(
    title: str,
    unit: str,
    measurements: Sequence[Measurement],
    columns: Mapping[str, Mapping[str, str]],
    ratios: bool,
) -> None:
    lines: list[tuple[str, ...]] = []
    for row in measurements:
        values = (row.median, min(row.values), max(row.values))
        multiple = f"{row.median / measurements[0].median:.3f}"
        cells = (texts.get(row.name, "") for texts in columns.values())
        lines.append((row.name, *map(figure, values), *[multiple] * ratios, *cells))
    headers = ("", f"{unit} median", "lowest", "highest", *["ratio"] * ratios, *columns)
    print_table(Table(title=title, headers=headers, rows=lines))


def explain(terms: Mapping[str, str]) -> None:
    """Print a line for each term, which says what it means, and an empty line."""
    indent = max(map(len, terms))
    width = max(open_console().width, 2 * indent)
    for term, meaning in terms.items():
        text = f"{term:>{indent}}: {meaning}"
        print_line(textwrap.fill(text, width, subsequent_indent=" " * (indent + 2)))
    print_line("")


def by_field(figures: Mapping[str, Mapping[str, float | None]]) -> dict[str, dict[str, float]]:
    """field -> row -> value, without unknown values, from row -> field -> value."""
    fields = dict.fromkeys(field for values in figures.values() for field in values)
    return {
        field: {
            row: value for row, values in figures.items() if (value := values[field]) is not None
        }
        for field in fields
    }


def figure_columns(
    figures: Mapping[str, Mapping[str, float | None]], formats: ColumnFormats
) -> dict[str, dict[str, str]]:
    """Columns for ``report`` of `figures`, row -> field -> value; without columns of which every
    value is None."""
    known = by_field(figures)
    return {
        header: {row: f"{factor * value:{style}}" for row, value in known[field].items()}
        for field, (header, factor, style) in formats.items()
        if known[field]
    }


def default_finding(unit: str, measurements: Sequence[Measurement]) -> str:
    """The last of `measurements`, compared with the first if there are several."""
    first, last = measurements[0], measurements[-1]
    sentence = f"{last.name}: {figure(last.median)} {unit} ({last.interval})"
    if len(measurements) > 1:
        sentence += f", {last.median / first.median:.3g} times {first.name}"
    return sentence + "."
