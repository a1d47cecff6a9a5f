"""Panels of bench-scaling: speed-up, efficiency, the parts of a step, and the stall ladder."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.measuring.intervals import median_interval
from benchmarks.measuring.text import figure
from benchmarks.report.axes import Curve, Limits, efficiency_panel, speed_up_panel, stacked_bars
from benchmarks.report.bar_charts import BAR_INCHES, MARGIN_INCHES, bars_panel
from benchmarks.report.panels import Panel
from benchmarks.scaling.record import LOADER, PARTS, RUNGS, SYNTHETIC, WARM, Point
from pipeline.chart_style import BLUE, GREEN, ORANGE, PURPLE, RED, SKY

PART_COLORS = {
    "compute": ORANGE,
    "waiting": PURPLE,
    "communication": GREEN,
    "interference": SKY,
    "input": BLUE,
    "storage": RED,
}
MODE_STYLES: dict[str, Any] = {
    "weak": {"color": BLUE, "marker": "o"},
    "strong": {"color": RED, "marker": "s", "linestyle": "--"},
}
# Smaller shares of a step are not drawn.
_MIN_SHARE = 0.0005
# A loader that is faster than this multiple of the model makes the other bars too short to compare.
_MAX_LOADER_RATIO = 2

Modes = Mapping[str, Sequence[Point]]


def scaling_panels(points: Sequence[Point]) -> list[Panel]:
    modes = {mode: [p for p in points if p.mode == mode] for mode in MODE_STYLES}
    modes = {mode: mode_points for mode, mode_points in modes.items() if mode_points}
    panels = [_shares(points), *(_ladder(point) for point in _ends(points))]
    if any(len(mode_points) > 1 for mode_points in modes.values()):
        panels = [_speed_up(modes), _efficiency(modes), *panels]
    return panels


def _ends(points: Sequence[Point]) -> list[Point]:
    """The smallest and the largest of the first mode."""
    first = [point for point in points if point.mode == points[0].mode]
    return [first[0], first[-1]] if len(first) > 1 else first


def _speed_up(modes: Modes) -> Panel:
    """images/s over those of the smallest number of ranks."""
    curves = []
    for mode, points in modes.items():
        rates = [point.images_per_second() for point in points]
        curves.append(_curve(mode, points, [rate / rates[0] for rate in rates]))
    mode, (smallest, *_, largest) = next((m, p) for m, p in modes.items() if len(p) > 1)
    times = largest.images_per_second() / smallest.images_per_second()
    title = f"{largest.world_size} ranks are {times:.2f} times as fast as {smallest.world_size}"
    return speed_up_panel("speed-up", f"{title} ({mode} scaling)", curves)


def _efficiency(modes: Modes) -> Panel:
    largest = next(iter(modes.values()))[-1]
    losses = largest.losses.as_dict()
    worst = max(losses, key=losses.__getitem__)
    title = f"Efficiency at {largest.world_size} ranks is {largest.efficiency:.0%}"
    if losses[worst] > 0:
        title += f"; the largest loss is {worst} ({losses[worst]:.0%})"
    curves = []
    for mode, points in modes.items():
        limits = [point.efficiency_interval for point in points]
        curves.append(_curve(mode, points, [point.efficiency for point in points], limits))
    return efficiency_panel("efficiency", title, curves)


def _curve(
    mode: str, points: Sequence[Point], values: Sequence[float], limits: Limits | None = None
) -> Curve:
    ranks, style = [point.world_size for point in points], MODE_STYLES[mode]
    return Curve(label=f"{mode} scaling", ranks=ranks, values=values, limits=limits, style=style)


def _shares(points: Sequence[Point]) -> Panel:
    """A bar for each size: the shares of a step."""
    last = _ends(points)[-1]
    shares = last.shares.as_dict()
    largest = max(shares, key=shares.__getitem__)
    parts = {part: [getattr(point.shares, part) for point in points] for part in PARTS}
    drawn = {part: widths for part, widths in parts.items() if max(widths) >= _MIN_SHARE}
    names, label = [point.name for point in points], "share of a step, warm files"
    return Panel(
        name="step",
        title=f"{last.name.capitalize()}: {shares[largest]:.0%} of a step is {largest}",
        description="Bars of the shares of a step, by number of ranks",
        draw=lambda axes: stacked_bars(axes, names, drawn, PART_COLORS, label, shares=True),
        height_inches=MARGIN_INCHES + 0.5 + 1.2 * BAR_INCHES * len(points),
    )


def _ladder(point: Point) -> Panel:
    """images/s of each rung of the stall ladder."""
    rates = {rung: point.images_per_second(rung) for rung in RUNGS if rung in point.rungs}
    if rates[LOADER] > _MAX_LOADER_RATIO * rates[SYNTHETIC]:
        del rates[LOADER]
    intervals = [median_interval(point.rates(rung)) for rung in rates]
    return bars_panel(
        f"ladder-{point.mode}-{point.world_size}",
        f"{point.name.capitalize()}: {figure(rates[SYNTHETIC])} images/s without input, "
        f"{figure(rates[WARM])} from warm files",
        rates,
        limits=[(interval.low, interval.high) for interval in intervals],
        colors=[BLUE if rung == LOADER else GREEN for rung in rates],
    )
