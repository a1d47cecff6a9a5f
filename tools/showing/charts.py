"""Charts of image sizes, bytes and classes. Each title states the finding."""

from typing import Any

import numpy as np
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from pipeline.chart_style import BLUE, CYCLE, ORANGE
from tools.showing.dataset_summary import DatasetSummary, byte_unit, min_median_max
from tools.showing.fonts import class_labels, fit_text
from tools.text import plural

_BINS = 40
# From this ratio of maximum to minimum on, an axis is logarithmic.
_LOG_RATIO = 20
# Up to this many classes have a bar and a name each.
_NAMED_CLASSES = 12
_NAME_CHARACTERS = 14


def draw_sizes(axes: Any, summary: DatasetSummary) -> None:
    """Heights and widths in pixels."""
    sizes = {name: summary.column(name) for name in ("width", "height")}
    bins = _integer_bins(axes, np.concatenate([*sizes.values()]))
    median = f"{np.median(sizes['height']):,.0f} x {np.median(sizes['width']):,.0f} px"
    _label(axes, "px", "images")
    if all(np.ptp(values) == 0 for values in sizes.values()):
        axes.hist(sizes["height"], bins, color=BLUE)
        axes.set_title(f"Every image is {median}")
        return
    for (name, values), color in zip(sizes.items(), (ORANGE, BLUE), strict=True):
        axes.hist(values, bins, color=color, alpha=0.75, label=name)
    _add_legend(axes)
    axes.set_title(f"Median height x width: {median}")


def draw_bytes(axes: Any, summary: DatasetSummary) -> None:
    """Bytes of the images in the tars."""
    sizes = summary.column("size")
    unit, scale = byte_unit(sizes)
    axes.hist(sizes / scale, _integer_bins(axes, sizes, scale), color=BLUE)
    _label(axes, f"{unit} per image", "images")
    axes.set_title(f"Median: {np.median(sizes) / scale:,.4g} {unit} per image")


def draw_classes(axes: Any, summary: DatasetSummary) -> None:
    """Samples of each class, the splits stacked."""
    counts, names = summary.class_counts, class_labels(summary.manifest.classes)
    totals = counts.sum(axis=0)
    named = len(names) <= _NAMED_CLASSES
    order = np.arange(len(names)) if named else np.argsort(-totals, kind="stable")
    base = np.zeros(len(names), np.int64)
    for split, color, count in zip(summary.splits, CYCLE, counts[:, order], strict=False):
        if named:
            axes.barh(order, count, left=base, color=color, label=split)
        else:
            axes.stairs(base + count, baseline=base, fill=True, color=color, label=split)
        base += count
    if named:
        axes.set_yticks(order, [fit_text(name, _NAME_CHARACTERS) for name in names])
        axes.invert_yaxis()
        _count_axis(axes.xaxis)
        axes.set_xlabel("samples")
    else:
        _label(axes, "classes, most frequent first", "samples")
    if len(summary.splits) > 1:
        _add_legend(axes)
    low, high, classes = int(totals.min()), int(totals.max()), plural(len(names), "class")
    several = f"{low:,} to {plural(high, 'sample')}"
    axes.set_title(f"{classes} of {several if high > low else plural(low, 'sample') + ' each'}")


def draw_targets(axes: Any, summary: DatasetSummary) -> None:
    """Values of the first target."""
    values = summary.targets[:, 0]
    low, median, high = min_median_max(values)
    name = fit_text(summary.manifest.targets[0], 24)
    axes.hist(values, _BINS, color=BLUE)
    _label(axes, name, "samples")
    axes.set_title(f"{name}: {low:.4g} to {high:.4g}, median {median:.4g}")


def _integer_bins(axes: Any, values: NDArray[Any], scale: int = 1) -> NDArray[Any]:
    """Bin edges for integers that are shown divided by `scale`; the axis becomes logarithmic where
    the values span a wide range."""
    low, high = int(values.min()), int(values.max())
    if high > _LOG_RATIO * low > 0 and high - low > _BINS:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=10))
        axes.xaxis.set_minor_formatter(NullFormatter())
        edges: NDArray[Any] = np.geomspace(low, high + 1, _BINS + 1)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=scale == 1))
        width = max(1, -(-(high + 1 - low) // _BINS))
        room = 3 if high == low else 0
        edges = np.arange(low - room, high + room + width + 1, width) - 0.5
    axes.xaxis.set_major_formatter("{x:,.4g}")
    return edges / scale


def _label(axes: Any, x: str, y: str) -> None:
    axes.set(xlabel=x, ylabel=y)
    _count_axis(axes.yaxis)


def _count_axis(axis: Any) -> None:
    axis.set_major_locator(MaxNLocator(5, integer=True))
    axis.set_major_formatter("{x:,.0f}")


def _add_legend(axes: Any) -> None:
    """To the right of the chart, where it hides no bar."""
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), handlelength=1)
