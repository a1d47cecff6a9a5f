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
    rates, last = list(result.median.values()), sizes[-1]
    ranks, errors = [size["ranks"] for size in sizes], [abs(row["error"]) for row in measured]

    def draw_rates(axes: Any) -> None:
        axes.plot(ranks, [rates[0] * count for count in ranks], label="ideal", **IDEAL)
        _draw_sizes(axes, sizes, rates)
        _draw_measured(axes, measured, [check["measured"] for check in measured])
        ranks_axis(axes, ranks)
        axes.set_yscale("log")
        subs = (1, 2, 5) if len(ranks) < _MIN_DECADE_SIZES else (1,)
        axes.yaxis.set_major_locator(LogLocator(subs=subs))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_ylabel("images/s (log scale)")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        axes.legend()

    def draw_efficiency(axes: Any) -> None:
        _draw_sizes(axes, sizes, [size["efficiency"] for size in sizes])
        efficiencies = [check["measured"] / check["ranks"] / rates[0] for check in measured]
        _draw_measured(axes, measured, efficiencies)
        ranks_axis(axes, ranks)
        efficiency_axis(axes, "scaling efficiency (weak)")

    return [
        Panel(
            name="prediction",
            title=f"Prediction: {figure(rates[-1])} images/s on {last['ranks']:,} ranks, limited "
            f"by {last['limit']}",
            description="Predicted images/s by number of ranks, with the ideal and measurements",
            draw=draw_rates,
        ),
        Panel(
            name="prediction-efficiency",
            title=f"Predicted efficiency: {last['efficiency']:.0%} on {last['ranks']:,} ranks"
            + (f"; largest error {max(errors):.0%}" if errors else ""),
            description="Predicted efficiency by number of ranks, with the ideal and measurements",
            draw=draw_efficiency,
        ),
    ]


def _draw_sizes(axes: Any, sizes: Sequence[Any], values: Sequence[float]) -> None:
    """A line, with a marker for the first limit of each size."""
    axes.plot([size["ranks"] for size in sizes], values, color=GRAY, linewidth=1)
    for limit, marker in MARKERS.items():
        points = [
            (size["ranks"], value)
            for size, value in zip(sizes, values, strict=True)
            if size["limit"] == limit
        ]
        if points:
            style: Any = {"color": PART_COLORS[limit], "label": f"predicted, limit: {limit}"}
            axes.plot(*zip(*points, strict=True), marker, **style)


def _draw_measured(axes: Any, checks: Sequence[Any], values: Sequence[float]) -> None:
    if checks:
        style: Any = {"markersize": 9, "markeredgewidth": 2, "label": "measured"}
        ranks = [check["ranks"] for check in checks]
        axes.plot(ranks, values, "x", color=rcParams["text.color"], **style)
