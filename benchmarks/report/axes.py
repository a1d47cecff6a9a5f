"""Axes that several panels share."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.ticker import NullLocator, PercentFormatter

from pipeline.chart_style import GRAY

IDEAL: Any = {"color": GRAY, "linestyle": ":", "linewidth": 1.4}
# Narrower parts of a bar have no room for a figure.
_ROOM = 0.07


def ranks_axis(axes: Any, sizes: Sequence[int]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("ranks")
    axes.grid(True)


def efficiency_axes(axes: Any, sizes: Sequence[int], label: str) -> None:
    """Once all is drawn: from 0 to the ideal and what lies above, by the number of ranks."""
    axes.axhline(1, label="ideal", zorder=1, **IDEAL)
    ranks_axis(axes, sizes)
    axes.set_ylim(0, max(1.1, axes.get_ylim()[1]))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_ylabel(label)
    axes.legend(loc="lower left")


def stacked_shares(
    axes: Any,
    names: Sequence[str],
    parts: Mapping[str, Sequence[float]],
    colors: Mapping[str, str],
    label: str,
) -> None:
    """A bar for each of `names`, from 0 to the whole, of `parts`: part -> its share in each."""
    left = [0.0] * len(names)
    for part, widths in parts.items():
        axes.barh(names, widths, left=left, color=colors[part], label=part, height=0.62)
        for place, (width, start) in enumerate(zip(widths, left, strict=True)):
            if width >= _ROOM:
                # Black is read on all of these colors, whatever the page's is.
                where = (start + width / 2, place)
                axes.annotate(f"{width:.0%}", where, ha="center", va="center", color="black")
        left = [start + width for start, width in zip(left, widths, strict=True)]
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_xlabel(label)
    axes.tick_params(axis="y", length=0)
    axes.figure.legend(loc="outside lower left", ncols=3)
