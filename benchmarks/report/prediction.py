"""Panels of bench-predict: what more ranks would give, and what they would be limited by."""

from collections.abc import Sequence
from typing import Any

from matplotlib import rcParams
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from benchmarks.measuring.result_file import PREDICTION
from benchmarks.measuring.text import figure
from benchmarks.report.axes import IDEAL, efficiency_axes, ranks_axis
from benchmarks.report.inputs import Inputs
from benchmarks.report.panels import Panel
from benchmarks.report.scaling import PART_COLORS
from pipeline.chart_style import GRAY

# Limits are told apart by their shape, too.
MARKERS = {"input": "v", "compute": "o", "communication": "s"}
# So few sizes span less than two powers of ten.
_FEW = 7


def prediction_panels(inputs: Inputs) -> list[Panel]:
    result = inputs.last(PREDICTION)
    if result is None:
        return []
    sizes, checks = result.bundle["predictions"], result.bundle["checks"]
    # Those with a loader, where there are some: that is what is predicted.
    measured = [check for check in checks if check["fed"]] or checks
    rates = list(result.median.values())
    return [_rates(sizes, rates, measured), _efficiency(sizes, rates, measured)]


def _rates(sizes: Sequence[Any], rates: Sequence[float], measured: Sequence[Any]) -> Panel:
    ranks = [size["ranks"] for size in sizes]

    def draw(axes: Any) -> None:
        axes.plot(ranks, [rates[0] * each for each in ranks], label="ideal", **IDEAL)
        _draw_limits(axes, sizes, rates)
        _draw_measured(axes, measured, [check["measured"] for check in measured])
        ranks_axis(axes, ranks)
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if len(ranks) < _FEW else (1,)))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_ylabel("images/s (log scale)")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        axes.legend()

    return Panel(
        name="prediction",
        title=f"{ranks[-1]:,} ranks would give {figure(rates[-1])} images/s, limited by "
        f"{sizes[-1]['limit']}",
        shows="Predicted images per second against ranks, beside the ideal and what was measured",
        draw=draw,
    )


def _efficiency(sizes: Sequence[Any], rates: Sequence[float], measured: Sequence[Any]) -> Panel:
    worst = max(measured, key=lambda check: abs(check["error"]), default=None)
    error = "" if worst is None else f"; {abs(worst['error']):.0%} off what was measured, at most"

    def draw(axes: Any) -> None:
        _draw_limits(axes, sizes, [size["efficiency"] for size in sizes])
        efficiencies = [check["measured"] / check["ranks"] / rates[0] for check in measured]
        _draw_measured(axes, measured, efficiencies)
        efficiency_axes(axes, [size["ranks"] for size in sizes], "scaling efficiency (weak)")

    return Panel(
        name="prediction-efficiency",
        title=f"Efficiency would be {sizes[-1]['efficiency']:.0%} at {sizes[-1]['ranks']:,} "
        f"ranks{error}",
        shows="Predicted scaling efficiency against ranks, beside the ideal and what was measured",
        draw=draw,
    )


def _draw_limits(axes: Any, sizes: Sequence[Any], values: Sequence[float]) -> None:
    """A line, and on it each size by its first limit."""
    axes.plot([size["ranks"] for size in sizes], values, color=GRAY, linewidth=1)
    for limit, marker in MARKERS.items():
        found = [
            (size["ranks"], value)
            for size, value in zip(sizes, values, strict=True)
            if size["limit"] == limit
        ]
        if found:
            look: Any = {"color": PART_COLORS[limit], "label": f"predicted, limit: {limit}"}
            axes.plot(*zip(*found, strict=True), marker, **look)


def _draw_measured(axes: Any, checks: Sequence[Any], values: Sequence[float]) -> None:
    if checks:
        cross: Any = {"markersize": 9, "markeredgewidth": 2, "label": "measured"}
        ink = rcParams["text.color"]
        axes.plot([check["ranks"] for check in checks], values, "x", color=ink, **cross)
