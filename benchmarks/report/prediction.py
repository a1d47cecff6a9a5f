"""Panels of bench-predict: predicted rates and efficiency, with the first limit of each size."""

from collections.abc import Mapping, Sequence
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


def predicted_sizes(bundle: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The entries of a prediction, with images/s of each."""
    rates = zip(bundle["predictions"], bundle["median"].values(), strict=True)
    return [{**size, "images_per_second": rate} for size, rate in rates]


def prediction_panels(result: Result) -> list[Panel]:
    """images/s and efficiency by number of ranks."""
    sizes, checks = predicted_sizes(result.bundle), result.bundle["checks"]
    # Predictions are of training from files: those on synthetic batches stand in.
    measured = [check for check in checks if check["fed"]] or checks
    return [_rates(sizes, measured), _efficiency(sizes, measured)]


def _rates(sizes: Sequence[Any], measured: Sequence[Any]) -> Panel:
    ranks = [size["ranks"] for size in sizes]
    last, single = sizes[-1], sizes[0]["images_per_second"]
    crosses = [(check["ranks"], check["measured"]) for check in measured]

    def draw(axes: Any) -> None:
        axes.plot(ranks, [single * count for count in ranks], label="ideal", **IDEAL)
        _draw_points(axes, sizes, "images_per_second", crosses)
        axes.set_yscale("log")
        subs = (1, 2, 5) if len(ranks) < _MIN_DECADE_SIZES else (1,)
        axes.yaxis.set_major_locator(LogLocator(subs=subs))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_ylabel("images/s (log scale)")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        axes.legend()

    return Panel(
        name="prediction",
        title=f"Prediction: {figure(last['images_per_second'])} images/s on {last['ranks']:,} "
        f"ranks, limited by {last['limit']}",
        description="Predicted images/s by number of ranks, with the ideal and measurements",
        draw=draw,
    )


def _efficiency(sizes: Sequence[Any], measured: Sequence[Any]) -> Panel:
    last, single = sizes[-1], sizes[0]["images_per_second"]
    crosses = [(row["ranks"], row["measured"] / row["ranks"] / single) for row in measured]
    title = f"Predicted efficiency: {last['efficiency']:.0%} on {last['ranks']:,} ranks"
    if measured:
        title += f"; largest error {max(abs(check['error']) for check in measured):.0%}"

    def draw(axes: Any) -> None:
        _draw_points(axes, sizes, "efficiency", crosses)
        efficiency_axis(axes, "scaling efficiency (weak)")

    description = "Predicted efficiency by number of ranks, with the ideal and measurements"
    return Panel(name="prediction-efficiency", title=title, description=description, draw=draw)


def _draw_points(
    axes: Any, sizes: Sequence[Any], field: str, crosses: Sequence[tuple[int, float]]
) -> None:
    """A line of a `field` of `sizes` with a marker for each first limit, and measured `crosses`."""
    ranks = [size["ranks"] for size in sizes]
    axes.plot(ranks, [size[field] for size in sizes], color=GRAY, linewidth=1)
    for limit, marker in MARKERS.items():
        points = [(size["ranks"], size[field]) for size in sizes if size["limit"] == limit]
        if points:
            style: Any = {"color": PART_COLORS[limit], "label": f"predicted, limit: {limit}"}
            axes.plot(*zip(*points, strict=True), marker, **style)
    if crosses:
        style = {"markersize": 9, "markeredgewidth": 2, "label": "measured"}
        axes.plot(*zip(*crosses, strict=True), "x", color=rcParams["text.color"], **style)
    ranks_axis(axes, ranks)
