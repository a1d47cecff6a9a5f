"""The picture of a dataset: a contact sheet, and beneath it how large, heavy and frequent the
samples are."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pipeline.chart_style import STYLE
from tools.images.codec import Pixels
from tools.showing.dataset_summary import DatasetSummary
from tools.showing.fonts import FONT, drawable, shortened
from tools.showing.histograms import (
    NAME_CHARACTERS,
    NAMED_CLASSES,
    draw_bytes,
    draw_classes,
    draw_sizes,
    draw_targets,
)
from tools.showing.sample_choice import names
from tools.showing.sheet_layout import CHARTS_PX, MARGIN_PX, TITLE_PX, WIDTH_PX, Layout
from tools.showing.tiles import mask_colors
from tools.text import plural

DPI = 150
_AXIS_PX = 64
_CHART_GAP_PX = 60
_STYLE = STYLE | {"font.family": FONT, "font.size": 9, "axes.titlesize": 10}


def draw(
    summary: DatasetSummary, layout: Layout, tiles: Sequence[Pixels | None], path: Path
) -> None:
    """Write the picture as PNG; the same dataset and tiles give the same bytes."""
    with rc_context(_STYLE):
        figure = Figure(figsize=(WIDTH_PX / DPI, layout.height_px / DPI), dpi=DPI)
        FigureCanvasAgg(figure)
        page = _Page(figure, layout.height_px)
        _draw_title(page, summary, layout)
        figure.figimage(_canvas(layout, tiles), zorder=-1)
        _draw_words(page, summary, layout, tiles)
        _draw_charts(page, summary, layout)
        figure.savefig(path, format="png", metadata={"Software": None})


class _Page:
    """A figure that is drawn on in pixels from the top left corner."""

    def __init__(self, figure: Figure, height_px: int) -> None:
        self._figure, self._height_px = figure, height_px

    def text(self, left_px: float, top_px: float, text: str, **style: Any) -> None:
        style = {"va": "top", "ha": "left", **style}
        self._figure.text(left_px / WIDTH_PX, 1 - top_px / self._height_px, text, **style)

    def axes(self, left_px: float, top_px: float, width_px: float, height_px: float) -> Any:
        bottom = 1 - (top_px + height_px) / self._height_px
        return self._figure.add_axes(
            (left_px / WIDTH_PX, bottom, width_px / WIDTH_PX, height_px / self._height_px)
        )


def _draw_title(page: _Page, summary: DatasetSummary, layout: Layout) -> None:
    manifest = summary.manifest
    name = drawable(summary.dataset.directory.resolve().name, "Shards")
    about = f" of {plural(len(manifest.classes), 'class')}" if manifest.classes else ""
    title = f"{name}: {plural(summary.samples, 'sample')}{about}"
    page.text(MARGIN_PX, 36, shortened(title, 90), fontsize=17, weight="bold")
    splits = ", ".join(f"{len(tables):,} {split}" for split, tables in summary.splits.items())
    mebibytes = int(summary.column("size").sum()) / 2**20
    shown, split = int(np.sum(layout.sheet.rows >= 0)), layout.sheet.split
    text = (
        f"{manifest.task}; {splits}; {mebibytes:,.1f} MiB of images. Shown: {shown:,} of "
        f"{len(summary.splits[split]):,} {split}."
    )
    page.text(MARGIN_PX, 86, text, fontsize=10, color="#555555")


def _canvas(layout: Layout, tiles: Sequence[Pixels | None]) -> Pixels:
    """All tiles on white: uint8 (height, width, 3)."""
    canvas = np.full((layout.height_px, WIDTH_PX, 3), 255, np.uint8)
    side = layout.side_px
    for number, row in enumerate(layout.sheet.rows.tolist()):
        if row >= 0:
            left, top = layout.place(number)
            tile = tiles[number]
            shade = np.full((side, side, 3), 232, np.uint8)
            canvas[top : top + side, left : left + side] = shade if tile is None else tile
    return canvas


def _draw_words(
    page: _Page, summary: DatasetSummary, layout: Layout, tiles: Sequence[Pixels | None]
) -> None:
    sheet, side = layout.sheet, layout.side_px
    for number, row in enumerate(sheet.rows.tolist()):
        left, top = layout.place(number)
        if row >= 0 and tiles[number] is None:
            center = {"ha": "center", "va": "center", "color": "#777777"}
            page.text(left + side / 2, top + side / 2, "damaged", **center)
        if sheet.captions:
            caption = shortened(sheet.captions[number], side // 9)
            page.text(left + side / 2, top + side + 5, caption, ha="center", fontsize=7.5)
    for line, label in enumerate(sheet.line_classes):
        if label >= 0:
            _draw_class(page, summary, layout, line, label)
    if layout.legend:
        _draw_legend(page, summary)


def _draw_class(
    page: _Page, summary: DatasetSummary, layout: Layout, line: int, label: int
) -> None:
    _, top = layout.place(line * layout.sheet.columns)
    center = top + layout.side_px / 2
    name = shortened(names(summary.manifest)[label], 15)
    counts = summary.class_counts[:, label].tolist()
    said = ", ".join(f"{n:,} {split}" for split, n in zip(summary.splits, counts, strict=True))
    page.text(MARGIN_PX, center - 4, name, fontsize=13, weight="bold", va="bottom")
    page.text(MARGIN_PX, center + 6, said, fontsize=8, color="#555555")


def _draw_legend(page: _Page, summary: DatasetSummary) -> None:
    left = float(MARGIN_PX)
    colors = mask_colors(len(summary.manifest.classes))
    for name, color in zip(names(summary.manifest), colors, strict=True):
        if color is None:
            continue
        name = shortened(name, 24)
        if left > WIDTH_PX - 300:
            page.text(left, TITLE_PX, "...", fontsize=10)
            return
        shade = tuple(value / 255 for value in color)
        page.text(left, TITLE_PX, "\u25a0", fontsize=12, color=shade)
        page.text(left + 28, TITLE_PX, name, fontsize=10)
        left += 64 + 14 * len(name)


def _draw_charts(page: _Page, summary: DatasetSummary, layout: Layout) -> None:
    drawings = [draw_sizes, draw_bytes]
    drawings.append(draw_targets if summary.manifest.task == "regression" else draw_classes)
    pitch = (WIDTH_PX - 2 * MARGIN_PX + _CHART_GAP_PX) / len(drawings)
    for number, drawing in enumerate(drawings):
        labels = _AXIS_PX + (_names_px(summary) if drawing is draw_classes else 0)
        left, width = MARGIN_PX + number * pitch + labels, pitch - _CHART_GAP_PX - labels
        drawing(page.axes(left, layout.charts_px, width, CHARTS_PX - 130), summary)


def _names_px(summary: DatasetSummary) -> int:
    """Room for the names of classes beside their bars."""
    classes = names(summary.manifest)
    if len(classes) > NAMED_CLASSES:
        return 0
    return 9 * max(min(len(name), NAME_CHARACTERS) for name in classes)
