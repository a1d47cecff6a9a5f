"""What people see of a scaling measurement, beside the sentences."""

import sys
from collections.abc import Mapping, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks.measure import figure
from benchmarks.scaling_record import PARTS, RUNGS, Point


def show_ladder(points: Sequence[Point]) -> None:
    """images/s of each rung, a column for each point."""
    table = Table(title="stall ladder, images/s", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column(no_wrap=True)
    for point in points:
        table.add_column(point.name, justify="right")
    for rung in RUNGS:
        rates = [
            figure(point.images_per_second(rung)) if rung in point.rungs else "" for point in points
        ]
        if any(rates):
            table.add_row(rung, *rates)
    # Terminal width: a table piped into a file is not cut.
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def point_columns(points: Sequence[Point]) -> Mapping[str, Mapping[str, str]]:
    """Efficiency, and the shares of the step from warm files; the ladder tells of cold ones."""
    columns = {"efficiency": {point.name: f"{point.efficiency:.0%}" for point in points}}
    for part in PARTS[:-1]:
        columns[part] = {point.name: f"{getattr(point.shares, part):.0%}" for point in points}
    return columns


def failed_gates(points: Sequence[Point]) -> list[str]:
    """What makes figures less than they seem."""
    return [
        f" ! {point.name} is not to be trusted: {gate.sentence}"
        for point in points
        for gate in point.gates
        if not gate.holds
    ]
