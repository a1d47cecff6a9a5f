"""Axes and panels of curves and stacked bars that several sections share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.ticker import FuncFormatter, NullLocator, PercentFormatter

from benchmarks.report.panels import Panel
from pipeline.chart_style import GRAY
from pipeline.text import plural

IDEAL: Any = {"color": GRAY, "linestyle": ":", "linewidth": 1.4}
# A figure does not fit into a smaller share of a bar.
_MIN_LABELED_SHARE = 0.07

Limits = Sequence[tuple[float, float]]


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Values by number of ranks, each within its `limits`; `style` is matplotlib's."""

    label: str
    ranks: Sequence[int]
    values: Sequence[float]
    limits: Limits | None = None
    style: Mapping[str, Any]


def error_bars(values: Sequence[float], limits: Limits | None) -> list[list[float]] | None:
    """What matplotlib's xerr and yerr take: distances to the lower and to the upper limits."""
    if limits is None:
        return None
    pairs = list(zip(values, limits, strict=True))
    # A median of ratios may lie outside the interval of single runs.
    return [
        [max(0.0, value - low) for value, (low, _) in pairs],
        [max(0.0, high - value) for value, (_, high) in pairs],
    ]


def draw_curves(axes: Any, curves: Sequence[Curve]) -> list[int]:
    """Draw `curves` over a log axis of ranks, and return all numbers of ranks."""
    ranks = sorted({count for curve in curves for count in curve.ranks})
    for curve in curves:
        errors = error_bars(curve.values, curve.limits)
        plain: Any = {"capsize": 3, "label": curve.label, **curve.style}
        axes.errorbar(curve.ranks, curve.values, yerr=errors, **plain)
    ranks_axis(axes, ranks)
    return ranks


def ranks_axis(axes: Any, ranks: Sequence[int]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xticks(ranks, [f"{count:,}" for count in ranks])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("ranks")
    axes.grid(True)


def speed_up_panel(name: str, title: str, curves: Sequence[Curve]) -> Panel:
    """`curves` of rates over the rate of the smallest number of ranks, with the ideal."""

    def draw(axes: Any) -> None:
        ranks = draw_curves(axes, curves)
        axes.plot(ranks, [count / ranks[0] for count in ranks], label="ideal", **IDEAL)
        axes.set_yscale("log", base=2)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}x"))
        axes.set_ylabel(f"speed-up over {plural(ranks[0], 'rank')}")
        axes.legend(loc="upper left")

    description = "Speed-up by number of ranks, with the ideal"
    return Panel(name=name, title=title, description=description, draw=draw)


def efficiency_panel(name: str, title: str, curves: Sequence[Curve]) -> Panel:
    """`curves` of efficiencies, with their limits."""

    def draw(axes: Any) -> None:
        draw_curves(axes, curves)
        efficiency_axis(axes, "scaling efficiency")

    description = "Scaling efficiency by number of ranks, with intervals"
    return Panel(name=name, title=title, description=description, draw=draw)


def efficiency_axis(axes: Any, label: str) -> None:
    """Finish axes of efficiencies: from 0 to the ideal, or to a higher value."""
    axes.axhline(1, label="ideal", zorder=1, **IDEAL)
    axes.set_ylim(0, max(1.1, axes.get_ylim()[1]))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_ylabel(label)
    axes.legend(loc="lower left")


def stacked_bars(
    axes: Any,
    names: Sequence[str],
    parts: Mapping[str, Sequence[float]],
    colors: Mapping[str, str],
    label: str,
    *,
    shares: bool = False,
) -> Any:
    """A horizontal bar for each of `names`, of `parts`: part -> its width in each bar. `shares` of
    bars add up to 1 and get figures. Returns matplotlib's bars of the last part."""
    starts, bars = [0.0] * len(names), None
    for part, widths in parts.items():
        bars = axes.barh(names, widths, left=starts, color=colors[part], label=part, height=0.62)
        starts = [start + width for start, width in zip(starts, widths, strict=True)]
        if shares:
            figures = [f"{width:.0%}" if width >= _MIN_LABELED_SHARE else "" for width in widths]
            # Black is legible on all of these colors, in dark pages too.
            axes.bar_label(bars, figures, label_type="center", color="black")
    axes.invert_yaxis()
    axes.set_xlabel(label)
    axes.tick_params(axis="y", length=0)
    if shares:
        axes.set_xlim(0, 1)
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    handles, labels = axes.get_legend_handles_labels()
    columns = 2 if len(parts) == 4 else 3
    axes.figure.legend(handles, labels, loc="outside lower left", ncols=columns)
    return bars
