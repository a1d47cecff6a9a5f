"""Panels of bench-predict: predicted rates and efficiency, with the first limit of each size."""

from collections.abc import Sequence
from typing import Any

from matplotlib import rcParams
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from benchmarks.measuring.text import figure
from benchmarks.report.axes import IDEAL, efficiency_axis, ranks_axis
from benchmarks.report.inputs import Result
from benchmarks.report.panels import Panel
from benchmarks.report.scaling import PART_COLORS
from pipeline.chart_style import GRAY

# Limits have shapes as well as colors.
MARKERS = {"input": "v", "compute": "o", "communication": "s"}
# Fewer sizes span less than two powers of ten.
_MIN_DECADE_SIZES = 7


def prediction_panels(result: Result) -> list[Panel]:
    """images/s and efficiency by number of ranks."""
    sizes, comparisons = result.bundle["predictions"], result.bundle["checks"]
    # Predictions are of training from files: those on synthetic batches stand in.
    measured = [check for check in comparisons if check["fed"]] or comparisons
    rates = list(result.median.values())
    return [_rates(sizes, rates, measured), _efficiency(sizes, rates, measured)]


def _rates(sizes: Sequence[Any], rates: Sequence[float], measured: Sequence[Any]) -> Panel:
    last, ranks = sizes[-1], [size["ranks"] for size in sizes]

    def draw(axes: Any) -> None:
        axes.plot(ranks, [rates[0] * count for count in ranks], label="ideal", **IDEAL)
        _draw_points(axes, sizes, rates, [(row["ranks"], row["measured"]) for row in measured])
        axes.set_yscale("log")
        subs = (1, 2, 5) if len(ranks) < _MIN_DECADE_SIZES else (1,)
        axes.yaxis.set_major_locator(LogLocator(subs=subs))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_ylabel("images/s (log scale)")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        axes.legend()

    return Panel(
        name="prediction",
        title=f"Prediction: {figure(rates[-1])} images/s on {last['ranks']:,} ranks, limited by "
        f"{last['limit']}",
        description="Predicted images/s by number of ranks, with the ideal and measurements",
        draw=draw,
    )


def _efficiency(sizes: Sequence[Any], rates: Sequence[float], measured: Sequence[Any]) -> Panel:
    last, efficiencies = sizes[-1], [size["efficiency"] for size in sizes]
    crosses = [(row["ranks"], row["measured"] / row["ranks"] / rates[0]) for row in measured]
    title = f"Predicted efficiency: {last['efficiency']:.0%} on {last['ranks']:,} ranks"
    if measured:
        title += f"; largest error {max(abs(check['error']) for check in measured):.0%}"

    def draw(axes: Any) -> None:
        _draw_points(axes, sizes, efficiencies, crosses)
        efficiency_axis(axes, "scaling efficiency (weak)")

    description = "Predicted efficiency by number of ranks, with the ideal and measurements"
    return Panel(name="prediction-efficiency", title=title, description=description, draw=draw)


def _draw_points(
    axes: Any, sizes: Sequence[Any], values: Sequence[float], crosses: Sequence[tuple[int, float]]
) -> None:
    """A line with a marker for the first limit of each size, and `crosses` of measurements."""
    ranks = [size["ranks"] for size in sizes]
    axes.plot(ranks, values, color=GRAY, linewidth=1)
    for limit, marker in MARKERS.items():
        sized = zip(sizes, ranks, values, strict=True)
        points = [point for size, *point in sized if size["limit"] == limit]
        if points:
            style: Any = {"color": PART_COLORS[limit], "label": f"predicted, limit: {limit}"}
            axes.plot(*zip(*points, strict=True), marker, **style)
    if crosses:
        style = {"markersize": 9, "markeredgewidth": 2, "label": "measured"}
        axes.plot(*zip(*crosses, strict=True), "x", color=rcParams["text.color"], **style)
    ranks_axis(axes, ranks)
