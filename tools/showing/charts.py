"""Charts of image sizes, bytes and classes. Each title states the finding."""

from typing import Any

import numpy as np
from matplotlib.ticker import LogLocator, MaxNLocator
from numpy.typing import NDArray

from pipeline.chart_fonts import class_labels
from pipeline.chart_style import BLUE, CYCLE
from pipeline.chart_text import fit_text, text_inches
from pipeline.text import plural
from tools.showing.dataset_summary import DatasetSummary, byte_unit

_BINS = 40
# From this ratio of maximum to minimum on, an axis is logarithmic.
_LOG_RATIO = 20
# Up to this many classes have a bar and a name each.
_NAMED_CLASSES = 12
# Inches and points of the names.
_NAME_INCHES, _NAMES_HEIGHT, _NAME_SIZE = 3.0, 2.0, 9
# To the right of the chart, where it hides no bar.
_LEGEND: Any = {"loc": "upper left", "bbox_to_anchor": (1, 1), "handlelength": 1}


def draw_sizes(axes: Any, summary: DatasetSummary) -> None:
    """Heights and widths in pixels."""
    sizes = [summary.column("height"), summary.column("width")]
    bins = _integer_bins(axes, np.concatenate(sizes))
    varied = any(map(np.ptp, sizes))
    # Bars of one size would hide each other.
    kind = "stepfilled" if varied else "bar"
    axes.hist(sizes, bins, color=CYCLE[:2], label=("height", "width"), histtype=kind, alpha=0.75)
    axes.legend(**_LEGEND)
    finding = "Median height x width:" if varied else "Every image is"
    height, width = map(np.median, sizes)
    axes.set(xlabel="px", title=f"{finding} {height:,.0f} x {width:,.0f} px")
    _count_on(axes.yaxis, "images")


def draw_bytes(axes: Any, summary: DatasetSummary) -> None:
    """Bytes of the images in the tars."""
    sizes = summary.column("size")
    unit, scale = byte_unit(sizes)
    axes.hist(sizes / scale, _integer_bins(axes, sizes, scale), color=BLUE)
    median = f"{np.median(sizes) / scale:,.4g}"
    axes.set(xlabel=f"{unit} per image", title=f"Median: {median} {unit} per image")
    _count_on(axes.yaxis, "images")


def draw_classes(axes: Any, summary: DatasetSummary) -> None:
    """Samples of each class, the splits stacked."""
    counts, names = summary.class_counts, class_labels(summary.manifest.classes)
    totals, places = counts.sum(axis=0), np.arange(len(names)) + 0.5
    style = {"bins": len(names), "range": (0, len(names)), "stacked": True}
    style |= {"color": CYCLE[: len(counts)], "label": list(summary.splits)}
    if len(names) <= _NAMED_CLASSES:
        style |= {"orientation": "horizontal", "rwidth": 0.8}
        lines = max(1, int(_NAMES_HEIGHT / len(names) / (1.25 * _NAME_SIZE / 72)))
        fitted = [fit_text(name, _NAME_INCHES, _NAME_SIZE, lines=lines) for name in names]
        axes.set_yticks(places, fitted, fontsize=_NAME_SIZE)
        axes.invert_yaxis()
        _count_on(axes.xaxis, "samples")
    else:
        style |= {"histtype": "stepfilled"}
        counts = counts[:, np.argsort(-totals, kind="stable")]
        axes.set_xlabel("classes, most frequent first")
        _count_on(axes.yaxis, "samples")
    axes.hist([places] * len(counts), weights=list(counts), **style)
    if len(counts) > 1:
        axes.legend(**_LEGEND)
    low, high = int(totals.min()), plural(int(totals.max()), "sample")
    each = f"{high} each" if np.ptp(totals) == 0 else f"{low:,} to {high}"
    axes.set_title(f"{plural(len(names), 'class')} of {each}")


def classes_width(summary: DatasetSummary) -> float:
    """The width of ``draw_classes`` relative to the other charts, which have shorter labels."""
    names = class_labels(summary.manifest.classes)
    if len(names) > _NAMED_CLASSES:
        return 1.0
    widest = max((text_inches(name, _NAME_SIZE) for name in names), default=0.0)
    return 1 + max(0.0, min(widest, _NAME_INCHES) - 1) / 3


def draw_targets(axes: Any, summary: DatasetSummary) -> None:
    """Values of the first target."""
    values, name = summary.targets[:, 0], fit_text(summary.manifest.targets[0], 3, 9, lines=2)
    low, median, high = np.quantile(values, (0, 0.5, 1))
    axes.hist(values, _BINS, color=BLUE)
    axes.set(xlabel=name, title=f"{low:.4g} to {high:.4g}, median {median:.4g}")
    _count_on(axes.yaxis, "samples")


def _integer_bins(axes: Any, values: NDArray[Any], scale: int = 1) -> NDArray[Any]:
    """Bin edges for integers that are shown divided by `scale`; the axis becomes logarithmic where
    the values span a wide range."""
    low, high = int(values.min()), int(values.max())
    if high > _LOG_RATIO * low > 0 and high - low > _BINS:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=10))
        edges: NDArray[Any] = np.geomspace(low, high + 1, _BINS + 1)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=scale == 1))
        width = max(1, -(-(high + 1 - low) // _BINS))
        edges = np.arange(low - 3, high + width + 4, width) - 0.5
    axes.xaxis.set_major_formatter("{x:,.4g}")
    return edges / scale


def _count_on(axis: Any, label: str) -> None:
    axis.set_label_text(label)
    axis.set_major_locator(MaxNLocator(5, integer=True))
    axis.set_major_formatter("{x:,.0f}")
