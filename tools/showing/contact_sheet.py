"""The picture of a dataset: a contact sheet, and below it charts of sizes, bytes and classes."""

from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Patch

from pipeline.chart_style import CYCLE, STYLE
from tools.images.codec import Pixels
from tools.showing.charts import draw_bytes, draw_classes, draw_sizes, draw_targets
from tools.showing.dataset_summary import DatasetSummary
from tools.showing.fonts import FONT, class_labels, fit_text
from tools.showing.sample_choice import Sheet
from tools.text import plural

_DPI = 150
_WIDTH_PX = 1860
_MARGIN_PX = 48
_TITLE_PX, _LEGEND_PX, _CHARTS_PX = 132, 44, 400
# Room between tiles, between classes of several lines, for names at the left, for captions.
_GAP_PX, _CLASS_GAP_PX, _NAMES_PX, _CAPTION_PX = 8, 16, 210, 30
_LEGEND_COLUMNS, _LEGEND_ENTRIES = 6, 12
_STYLE = STYLE | {"font.family": FONT, "font.size": 9, "axes.titlesize": 10}
_GRAY = "#555555"


class SheetLayout:
    """Where the tiles of `sheet` are, in pixels from the top left corner of the picture.

    `side_px` of a tile; `corners_px`: int64 (n, 2), left and top of each; `legend_lines`: lines of
    class names above the tiles.
    """

    def __init__(self, sheet: Sheet, legend_lines: int = 0) -> None:
        left = _MARGIN_PX + (_NAMES_PX if sheet.line_classes else 0)
        self.side_px = (_WIDTH_PX - left - _MARGIN_PX + _GAP_PX) // sheet.columns - _GAP_PX
        line, column = np.divmod(np.arange(len(sheet.rows)), sheet.columns)
        pitch = self.side_px + _GAP_PX + (_CAPTION_PX if sheet.captions else 0)
        top = _TITLE_PX + _LEGEND_PX * legend_lines + line * pitch
        if -1 in sheet.line_classes:
            top += _CLASS_GAP_PX * (np.cumsum(np.array(sheet.line_classes) >= 0) - 1)[line]
        self.corners_px = np.stack([left + column * (self.side_px + _GAP_PX), top], axis=1)
        self.charts_px = int(top[-1]) + pitch + 2 * _MARGIN_PX
        self.height_px = self.charts_px + _CHARTS_PX


def layout_of(summary: DatasetSummary, sheet: Sheet) -> SheetLayout:
    """The layout, with room for the legend of masks."""
    return SheetLayout(sheet, -(-len(_legend_names(summary)) // _LEGEND_COLUMNS))


def draw(summary: DatasetSummary, sheet: Sheet, tiles: Sequence[Pixels | None], path: Path) -> None:
    """Write the picture as PNG; the same dataset and tiles give the same bytes. `tiles`: RGB uint8
    for each place of the sheet, at most ``SheetLayout.side_px`` high and wide, None if damaged."""
    layout = layout_of(summary, sheet)
    with rc_context(_STYLE):
        left, bottom = _MARGIN_PX / _WIDTH_PX, _MARGIN_PX / layout.height_px
        box = (left, bottom, 1 - 2 * left, (_CHARTS_PX - _MARGIN_PX) / layout.height_px)
        figure = Figure(
            figsize=(_WIDTH_PX / _DPI, layout.height_px / _DPI),
            dpi=_DPI,
            layout=ConstrainedLayoutEngine(rect=box, wspace=0.06),
        )
        last = draw_targets if summary.manifest.task == "regression" else draw_classes
        for axes, chart in zip(figure.subplots(1, 3), (draw_sizes, draw_bytes, last), strict=True):
            chart(axes, summary)
        # One unit is one pixel of the picture, from the top left corner.
        page = figure.add_axes((0, 0, 1, 1), xlim=(0, _WIDTH_PX), ylim=(layout.height_px, 0))
        page.axis("off")
        _draw_title(page, summary, sheet)
        _draw_legend(page, summary)
        _draw_class_names(page, summary, sheet, layout)
        _draw_tiles(page, sheet, tiles, layout)
        figure.savefig(path, format="png", metadata={"Software": None})


def _draw_title(page: Any, summary: DatasetSummary, sheet: Sheet) -> None:
    manifest = summary.manifest
    classes = f" of {plural(len(manifest.classes), 'class')}" if manifest.classes else ""
    name = summary.dataset.directory.resolve().name or "Shards"
    title = fit_text(f"{name}: {plural(summary.samples, 'sample')}{classes}", 90)
    page.text(_MARGIN_PX, 36, title, va="top", fontsize=17, weight="bold")
    splits = ", ".join(f"{len(tables):,} {split}" for split, tables in summary.splits.items())
    mebibytes = int(summary.column("size").sum()) / 2**20
    shown = f"{np.sum(sheet.rows >= 0):,} of {len(summary.splits[sheet.split]):,} {sheet.split}"
    text = f"{manifest.task}; {splits}; {mebibytes:,.1f} MiB of images. Shown: {shown}."
    page.text(_MARGIN_PX, 86, text, va="top", color=_GRAY)


def _draw_tiles(
    page: Any, sheet: Sheet, tiles: Sequence[Pixels | None], layout: SheetLayout
) -> None:
    """Each in the middle of its square, every pixel of a small image as a square."""
    side = layout.side_px
    for number, (left, top) in enumerate(layout.corners_px.tolist()):
        if sheet.rows[number] < 0:
            continue
        center, tile = left + side / 2, tiles[number]
        if tile is None:
            tile = np.full((1, 1, 3), 232, np.uint8)
            page.text(center, top + side / 2, "damaged", ha="center", va="center", color=_GRAY)
        height, width = (side // max(tile.shape[:2]) * length for length in tile.shape[:2])
        left, top = left + (side - width) // 2, top + (side - height) // 2
        extent = (left, left + width, top + height, top)
        page.imshow(tile, extent=extent, interpolation="nearest", aspect="auto")
        if sheet.captions:
            caption = fit_text(sheet.captions[number], side // 9)
            below = int(layout.corners_px[number, 1]) + side + 5
            page.text(center, below, caption, ha="center", va="top", fontsize=7.5)


def _draw_class_names(
    page: Any, summary: DatasetSummary, sheet: Sheet, layout: SheetLayout
) -> None:
    """At the left of the first line of each class, with its samples in each split."""
    labels = class_labels(summary.manifest.classes)
    tops = layout.corners_px[:: sheet.columns, 1].tolist()
    for label, top in zip(sheet.line_classes, tops, strict=False):
        if label >= 0:
            middle, name = top + layout.side_px / 2, fit_text(labels[label], 13, lines=2)
            page.text(_MARGIN_PX, middle, name, fontsize=11.5, weight="bold", va="bottom")
            counts = zip(summary.class_counts[:, label].tolist(), summary.splits, strict=True)
            text = fit_text(", ".join(f"{count:,} {split}" for count, split in counts), 22, lines=3)
            page.text(_MARGIN_PX, middle + 8, text, fontsize=8, color=_GRAY, va="top")


def _legend_names(summary: DatasetSummary) -> list[str]:
    """The classes of masks but for the first, which is mostly the background."""
    if summary.manifest.task != "segmentation":
        return []
    names = class_labels(summary.manifest.classes)[1:]
    left = len(names) - _LEGEND_ENTRIES
    return [*names[: _LEGEND_ENTRIES - 1], f"and {left + 1:,} more"] if left > 0 else names


def _draw_legend(page: Any, summary: DatasetSummary) -> None:
    patches = [
        Patch(color=color, label=fit_text(name, 18))
        for name, color in zip(_legend_names(summary), cycle(CYCLE), strict=False)
    ]
    page.legend(
        handles=patches,
        loc="upper left",
        bbox_to_anchor=(_MARGIN_PX, _TITLE_PX - 4),
        bbox_transform=page.transData,
        ncols=_LEGEND_COLUMNS,
        borderpad=0,
        borderaxespad=0,
        handlelength=1,
        fontsize=10,
    )
