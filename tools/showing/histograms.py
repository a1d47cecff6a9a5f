"""How large, how heavy and how frequent: one chart each. A title says the finding."""

from typing import Any

import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from pipeline.chart_style import BLUE, CYCLE, ORANGE
from tools.showing.dataset_summary import DatasetSummary, byte_unit, spread_of
from tools.showing.fonts import drawable, shortened
from tools.showing.sample_choice import names
from tools.text import plural

_BINS = 40
# From this ratio of the greatest to the least value on an axis is logarithmic.
_LOGARITHMIC = 20
# Beside or above the longest bar, as a part of it.
_LEGEND_ROOM = 0.35
# Up to so many classes have a bar and a name each.
NAMED_CLASSES = 12
NAME_CHARACTERS = 14


def draw_sizes(axes: Any, summary: DatasetSummary) -> None:
    """Heights and widths in pixels."""
    heights, widths = summary.column("height"), summary.column("width")
    bins = _integer_bins(axes, np.concatenate([heights, widths]))
    median = f"{np.median(heights):,.0f} x {np.median(widths):,.0f} px"
    _label(axes, "px", "images")
    if len(np.unique(heights)) == len(np.unique(widths)) == 1:
        axes.hist(heights, bins, color=BLUE)
        axes.set_title(f"Every image is {median}")
        return
    axes.hist(widths, bins, color=ORANGE, alpha=0.75, label="width")
    axes.hist(heights, bins, color=BLUE, alpha=0.75, label="height")
    axes.set_ylim(0, axes.get_ylim()[1] * (1 + _LEGEND_ROOM))
    axes.legend(frameon=False, loc="upper right", ncols=2)
    axes.set_title(f"Median height x width: {median}")


def draw_bytes(axes: Any, summary: DatasetSummary) -> None:
    """What the images take in the tars."""
    sizes = summary.column("size")
    unit, scale = byte_unit(sizes)
    axes.hist(sizes / scale, _integer_bins(axes, sizes, scale), color=BLUE)
    _label(axes, f"{unit} an image", "images")
    axes.set_title(f"Median: {np.median(sizes) / scale:,.4g} {unit} an image")


def draw_classes(axes: Any, summary: DatasetSummary) -> None:
    """Samples of each class, split upon split."""
    counts, classes = summary.class_counts, names(summary.manifest)
    totals = counts.sum(axis=0)
    named = len(classes) <= NAMED_CLASSES
    order = np.arange(len(classes)) if named else np.argsort(-totals, kind="stable")
    places, below = np.arange(len(classes)), np.zeros(len(classes), np.int64)
    for split, own, color in zip(summary.splits, counts[:, order], CYCLE, strict=False):
        if named:
            axes.barh(places, own, left=below, color=color, label=split)
        else:
            axes.fill_between(
                places, below, below + own, step="mid", color=color, label=split, linewidth=0
            )
        below = below + own
    if named:
        axes.set_yticks(places, [shortened(name, NAME_CHARACTERS) for name in classes])
        axes.invert_yaxis()
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.set_xlabel("samples")
    else:
        _label(axes, "classes, the most frequent first", "samples")
        axes.set_ylim(0)
    if len(summary.splits) > 1:
        room = totals.max() * (1 + _LEGEND_ROOM)
        (axes.set_xlim if named else axes.set_ylim)(0, room)
        axes.legend(frameon=False, loc="upper right", ncols=1 if named else 3)
    axes.set_title(_class_finding(totals))


def draw_targets(axes: Any, summary: DatasetSummary) -> None:
    """Values of the first target."""
    values = summary.targets[:, 0]
    least, median, most = spread_of(values)
    name = shortened(drawable(summary.manifest.targets[0], "target"), 24)
    axes.hist(values, _BINS, color=BLUE)
    _label(axes, name, "samples")
    axes.set_title(f"{name}: {least:.4g} to {most:.4g}, median {median:.4g}")


def _integer_bins(axes: Any, values: NDArray[Any], scale: int = 1) -> list[float]:
    """Edges of bins for integers that are shown divided by `scale`, each as wide as its neighbors,
    on an axis that is logarithmic where that is called for."""
    least, most = int(values.min()), int(values.max())
    if most > _LOGARITHMIC * least > 0 and most - least > _BINS:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=10))
        axes.xaxis.set_minor_formatter(NullFormatter())
        edges: NDArray[Any] = np.geomspace(least, most + 1, _BINS + 1)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=scale == 1))
        width = max(1, -(-(most + 1 - least) // _BINS))
        room = 3 if most == least else 0
        edges = np.arange(least - room, most + room + width + 1, width) - 0.5
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.4g}"))
    return list((edges / scale).tolist())


def _label(axes: Any, x: str, y: str) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def _class_finding(totals: NDArray[np.int64]) -> str:
    least, most = int(totals.min()), int(totals.max())
    classes = plural(len(totals), "class")
    if least == most:
        return f"{classes} of {plural(least, 'sample')} each"
    return f"{classes} of {least:,} to {plural(most, 'sample')}"
