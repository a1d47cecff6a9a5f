"""The picture of a dataset: a contact sheet, and below it charts of sizes, bytes and classes."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Patch

from pipeline.chart_fonts import class_labels, save_figure
from pipeline.chart_style import CYCLE, STYLE
from tools.showing.charts import draw_bytes, draw_classes, draw_sizes, draw_targets
from tools.showing.dataset_summary import DatasetSummary
from tools.showing.fonts import fit_text
from tools.showing.sample_choice import Sheet
from tools.showing.thumbnails import SIDE_PX, Tiles

# Inches; class names are at the left of the tiles, captions below them.
_WIDTH, _MARGIN, _TITLE, _SUBTITLE, _CHARTS, _NAMES, _CAPTION = 12.4, 0.3, 0.3, 0.4, 2.6, 1.4, 0.2
_LEGEND_COLUMNS, _LEGEND_ENTRIES = 6, 12
_STYLE = STYLE | {"font.size": 9, "axes.titlesize": 10}
_PLACE = {"frameon": False, "xticks": [], "yticks": []}
_GRAY = "#555555"


def draw(summary: DatasetSummary, sheet: Sheet, tiles: Tiles, path: Path) -> None:
    """Write the picture as PNG; the same dataset and tiles give the same bytes on a machine."""
    lines = -(-len(sheet.rows) // sheet.columns)
    names = _NAMES if sheet.line_classes else 0
    pitch = (_WIDTH - 2 * _MARGIN - names) / sheet.columns + (_CAPTION if sheet.captions else 0)
    inches = (_SUBTITLE + lines * pitch, _CHARTS)
    height = _TITLE + sum(inches) + 2 * _MARGIN
    x, y = _MARGIN / _WIDTH, _MARGIN / height
    title = f"{summary.dataset.directory.resolve().name or 'Shards'}: {summary.contents}"
    layout = ConstrainedLayoutEngine(rect=(x, y, 1 - 2 * x, sum(inches) / height))
    with rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, height), dpi=150, layout=layout)
        figure.text(x, 1 - y, fit_text(title, 90), va="top", fontsize=17, weight="bold")
        top, bottom = figure.subfigures(2, 1, squeeze=False, height_ratios=inches, hspace=0.05).flat
        top.suptitle(_subtitle(summary, sheet), x=0, ha="left", fontsize=9, color=_GRAY)
        grid = top.subplots(lines, sheet.columns, squeeze=False, subplot_kw=_PLACE)
        _draw_tiles(grid.flat, sheet, tiles)
        _draw_class_names(grid[:, 0], summary, sheet)
        if summary.manifest.task == "segmentation":
            _draw_legend(top, summary)
        last = draw_targets if summary.manifest.task == "regression" else draw_classes
        for axes, chart in zip(bottom.subplots(1, 3), (draw_sizes, draw_bytes, last), strict=True):
            chart(axes, summary)
        save_figure(figure, path, format="png", metadata={"Software": None})


def _subtitle(summary: DatasetSummary, sheet: Sheet) -> str:
    splits = ", ".join(f"{len(tables):,} {split}" for split, tables in summary.splits.items())
    mebibytes = int(summary.column("size").sum()) / 2**20
    shown = f"{np.sum(sheet.rows >= 0):,} of {len(summary.splits[sheet.split]):,} {sheet.split}"
    return f"{summary.manifest.task}; {splits}; {mebibytes:,.1f} MiB of images. Shown: {shown}."


def _draw_tiles(places: Iterable[Any], sheet: Sheet, tiles: Tiles) -> None:
    captions = sheet.captions or [""] * len(sheet.rows)
    for axes, row, caption in zip(places, sheet.rows.tolist(), captions, strict=False):
        if row < 0:
            continue
        if (tile := tiles[row]) is None:
            tile = np.full((1, 1, 3), 232, np.uint8)
            axes.text(0, 0, "damaged", ha="center", va="center", color=_GRAY)
        height, width = tile.shape[:2]
        interpolation = "nearest" if height < SIDE_PX else None
        axes.imshow(tile, extent=(-width, width, -height, height), interpolation=interpolation)
        # A square, so that captions of a line are in line.
        limits = (-max(height, width), max(height, width))
        axes.set(xlim=limits, ylim=limits)
        axes.set_xlabel(fit_text(caption, 180 // sheet.columns), fontsize=7.5)


def _draw_class_names(places: Sequence[Any], summary: DatasetSummary, sheet: Sheet) -> None:
    """At the left of the first line of each class, with its samples in each split."""
    labels = class_labels(summary.manifest.classes)
    for label in dict.fromkeys(sheet.line_classes):
        axes = places[sheet.line_classes.index(label)]
        counts = zip(summary.class_counts[:, label].tolist(), summary.splits, strict=True)
        text = ", ".join(f"{count:,} {split}" for count, split in counts)
        # Widths and heights of a tile.
        left = {"x": -1.65, "transform": axes.transAxes}
        name, text = fit_text(labels[label], 13, lines=2), fit_text(text, 22, lines=3)
        axes.text(y=0.52, s=name, va="bottom", fontsize=11.5, weight="bold", **left)
        axes.text(y=0.45, s=text, va="top", fontsize=8, color=_GRAY, **left)


def _draw_legend(figure: Any, summary: DatasetSummary) -> None:
    """Colors of the classes of masks but for the first, which is mostly the background."""
    names = [fit_text(name, 18) for name in class_labels(summary.manifest.classes)[1:]]
    if len(names) > _LEGEND_ENTRIES:
        names[_LEGEND_ENTRIES - 1 :] = [f"and {len(names) - _LEGEND_ENTRIES + 1:,} more"]
    handles = [Patch(color=CYCLE[n % len(CYCLE)], label=name) for n, name in enumerate(names)]
    figure.legend(handles=handles, loc="outside lower left", ncols=_LEGEND_COLUMNS, fontsize=10)
