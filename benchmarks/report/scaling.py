"""Panels of bench-scaling: what more ranks give, and where a step's time goes at each size."""

from collections.abc import Sequence
from typing import Any

from matplotlib.ticker import FuncFormatter

from benchmarks.measuring.intervals import median_interval
from benchmarks.measuring.result_file import SCALING
from benchmarks.measuring.text import counted, figure
from benchmarks.report.axes import IDEAL, efficiency_axes, ranks_axis, stacked_shares
from benchmarks.report.bar_charts import BAR_INCHES, MARGIN_INCHES, bars, height
from benchmarks.report.inputs import Inputs
from benchmarks.report.panels import Panel
from benchmarks.scaling.record import LOADER, PARTS, RUNGS, SYNTHETIC, Point, read_points
from pipeline.chart_style import BLUE, GREEN, ORANGE, PURPLE, RED, SKY

PART_COLORS = {
    "compute": ORANGE,
    "waiting": PURPLE,
    "communication": GREEN,
    "interference": SKY,
    "input": BLUE,
    "storage": RED,
}
MODE_LOOKS: dict[str, Any] = {
    "weak": {"color": BLUE, "marker": "o"},
    "strong": {"color": RED, "marker": "s", "linestyle": "--"},
}
# Smaller parts of a step aren't drawn.
_SEEN = 0.0005
# Times the rate of the model.
_FAR = 2


def scaling_panels(inputs: Inputs) -> list[Panel]:
    result = inputs.last(SCALING)
    if result is None:
        return []
    points = read_points(result.bundle)
    modes = {mode: [p for p in points if p.mode == mode] for mode in MODE_LOOKS}
    modes = {mode: found for mode, found in modes.items() if found}
    panels = [_shares(points), *(_ladder(p) for p in _ends(points))]
    if any(len(found) > 1 for found in modes.values()):
        panels = [_speed_up(modes), _efficiency(modes), *panels]
    return panels


def _ends(points: Sequence[Point]) -> list[Point]:
    """The smallest and the largest of the first mode."""
    first = [point for point in points if point.mode == points[0].mode]
    return [first[0], first[-1]] if len(first) > 1 else first


def _largest(modes: dict[str, list[Point]]) -> tuple[str, Point]:
    mode, points = next(iter(modes.items()))
    return mode, points[-1]


def _speed_up(modes: dict[str, list[Point]]) -> Panel:
    """images/s over those of the smallest size."""
    mode, largest = _largest(modes)
    times = largest.images_per_second() / modes[mode][0].images_per_second()

    def draw(axes: Any) -> None:
        sizes = sorted({point.world_size for found in modes.values() for point in found})
        axes.plot(sizes, [size / sizes[0] for size in sizes], label="ideal", **IDEAL)
        for name, found in modes.items():
            first = found[0].images_per_second()
            axes.plot(
                [point.world_size for point in found],
                [point.images_per_second() / first for point in found],
                label=f"{name} scaling",
                **MODE_LOOKS[name],
            )
        ranks_axis(axes, sizes)
        axes.set_yscale("log", base=2)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}x"))
        axes.set_ylabel(f"speed-up over {counted(sizes[0], 'rank')}")
        axes.legend()

    return Panel(
        name="speed-up",
        title=f"{largest.world_size} ranks are {times:.2f} times as fast as "
        f"{modes[mode][0].world_size} ({mode} scaling)",
        shows="Speed-up against ranks, beside the ideal",
        draw=draw,
    )


def _efficiency(modes: dict[str, list[Point]]) -> Panel:
    _, largest = _largest(modes)
    lost = largest.losses.as_dict()
    worst = max(lost, key=lambda name: lost[name])

    def draw(axes: Any) -> None:
        sizes = sorted({point.world_size for found in modes.values() for point in found})
        for name, found in modes.items():
            values = [point.efficiency for point in found]
            spans = [point.efficiency_interval for point in found]
            errors = [
                [max(0.0, value - low) for value, (low, _) in zip(values, spans, strict=True)],
                [max(0.0, high - value) for value, (_, high) in zip(values, spans, strict=True)],
            ]
            axes.errorbar(
                [point.world_size for point in found],
                values,
                yerr=errors,
                capsize=3,
                label=f"{name} scaling",
                **MODE_LOOKS[name],
            )
        efficiency_axes(axes, sizes, "scaling efficiency")

    return Panel(
        name="efficiency",
        title=f"Efficiency at {largest.world_size} ranks is {largest.efficiency:.0%}; most is lost "
        f"to {worst} ({lost[worst]:.0%})"
        if lost[worst] > 0
        else f"Efficiency at {largest.world_size} ranks is {largest.efficiency:.0%}",
        shows="Scaling efficiency against ranks, with intervals",
        draw=draw,
    )


def _shares(points: Sequence[Point]) -> Panel:
    """A bar for each size, from 0 to the whole step."""
    last = _ends(points)[-1]
    shares = last.shares.as_dict()
    largest = max(shares, key=lambda name: shares[name])

    def draw(axes: Any) -> None:
        parts = {part: [getattr(point.shares, part) for point in points] for part in PARTS}
        stacked_shares(
            axes,
            [point.name for point in points],
            {part: widths for part, widths in parts.items() if max(widths) >= _SEEN},
            PART_COLORS,
            "share of a step, warm files",
        )

    return Panel(
        name="step",
        title=f"{last.name.capitalize()}: {shares[largest]:.0%} of a step is {largest}",
        shows="Bars of the shares of a step, by part and size",
        draw=draw,
        height_inches=MARGIN_INCHES + 0.5 + 1.2 * BAR_INCHES * len(points),
    )


def _ladder(point: Point) -> Panel:
    """images/s of each rung of the stall ladder."""
    rates = {name: point.images_per_second(name) for name in RUNGS if name in point.rungs}
    if rates[LOADER] > _FAR * rates[SYNTHETIC]:
        # Beside its bar the others would be too short to tell apart; the first panel has it.
        del rates[LOADER]
    return Panel(
        name=f"ladder-{point.mode}-{point.world_size}",
        title=f"{point.name.capitalize()}: {figure(rates['synthetic'])} images/s without input, "
        f"{figure(rates['warm files'])} from warm files",
        shows="Bars of images per second by rung: "
        + ", ".join(f"{name} {figure(rate)}" for name, rate in rates.items()),
        draw=bars(
            rates,
            spans={name: _span(point.rates(name)) for name in rates},
            colors=[BLUE if name == LOADER else GREEN for name in rates],
        ),
        height_inches=height(len(rates)),
    )


def _span(rates: Sequence[float]) -> tuple[float, float]:
    interval = median_interval(rates)
    return interval.low, interval.high
