"""What a point's figures mean, in one sentence."""

import sys
from collections.abc import Mapping, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks.measuring.intervals import median_interval
from benchmarks.measuring.text import figure
from benchmarks.scaling.record import (
    COLD,
    LOADER,
    PARTS,
    RUNGS,
    SYNTHETIC,
    WARM,
    Measured,
    Parts,
    Point,
)
from benchmarks.scaling.stall_ladder import limit


def sentence(measured: Measured, shares: Parts) -> str:
    """`shares` are those of the step that decides, from warm or from cold files."""
    rate = measured.images_per_second
    loader, model, whole = (figure(rate(rung)) for rung in (LOADER, SYNTHETIC, WARM))
    bound = limit(shares)
    share = f"{getattr(shares, bound):.0%}"
    if bound == "input":
        said = (
            f"input-bound: the loader gives {loader} images/s, the model could take {model}; "
            f"waiting for input takes {share} of the step"
        )
    elif bound == "storage":
        said = (
            f"input-bound: cold files give {figure(rate(COLD))} images/s, warm ones {whole}; "
            f"reading takes {share} of the step"
        )
    elif bound == "interference":
        said = (
            f"bound by interference: the loader alone gives {loader} images/s, the model alone "
            f"takes {model}, both at once {whole}; being in each other's way takes {share} of the "
            f"step"
        )
    elif bound == "communication":
        megabytes = f"{measured.gradient_bytes / 1e6:,.1f} MB"
        said = (
            f"communication-bound: exchanging {megabytes} of gradients takes {share} of the step, "
            f"computing {shares.compute:.0%}"
        )
    elif bound == "waiting":
        said = f"bound by the slowest rank: waiting for it takes {share} of the step"
    else:
        said = (
            f"compute-bound: {share} of the step is the model's; it gets {whole} images/s and "
            f"could take {model}, the loader could give {loader}"
        )
    return f"{measured.name}: {said}{_of_cold(measured, bound)}."


def _of_cold(measured: Measured, bound: str) -> str:
    """How cold files compare, where they were measured and aren't what was said already."""
    if COLD not in measured.rungs or bound == "storage":
        return ""
    cold, warm = measured.rungs[COLD].step_seconds, measured.rungs[WARM].step_seconds
    ratio = median_interval([of / beside for of, beside in zip(cold, warm, strict=True)])
    if ratio.low <= 1:
        return "; cold files can't be told from warm ones"
    rate = measured.images_per_second
    return f"; from cold files {figure(rate(COLD))} images/s, {rate(COLD) / rate(WARM):.0%}"


def find_scaling(points: Sequence[Point]) -> str:
    """The sentence over all: how efficient the largest size of each mode is, what that costs it,
    and what the first of them is bound by."""
    largest = {point.mode: point for point in points if point.world_size > 1}
    if not largest:
        return points[0].sentence
    said = [_efficiency(point) for point in largest.values()]
    first = next(iter(largest.values()))
    efficiencies = "; ".join(said)
    return f"{efficiencies[0].upper()}{efficiencies[1:]}. {first.sentence}"


def _efficiency(point: Point) -> str:
    low, high = point.efficiency_interval
    said = (
        f"{point.mode} scaling to {point.world_size} ranks is {point.efficiency:.0%} efficient "
        f"({low:.0%} to {high:.0%})"
    )
    lost = point.losses.as_dict()
    most = max(lost, key=lambda name: lost[name])
    if point.efficiency >= 1 or lost[most] < 0.01:
        return said
    return f"{said}, {lost[most]:.0%} lost to {most}"


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
