"""A contact sheet: small pictures in lines, with captions and names that keep clear of them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Rectangle

from pipeline.arrays import Bytes
from pipeline.chart_fonts import save_figure
from pipeline.chart_style import CYCLE, PIXELATED_PX, STYLE
from pipeline.chart_text import fit_text, text_inches

# Inches: of the sheet, and of its parts.
_WIDTH, _MARGIN, _CHARTS = 12.4, 0.3, 2.9
_INNER = _WIDTH - 2 * _MARGIN
_TITLE, _SUBTITLE, _GAP, _LEGEND = 0.34, 0.3, 0.07, 0.22
_NARROWEST, _WIDEST = 1.3, 3.2  # the column of names
# Points.
_TITLE_SIZE, _SMALL_SIZE, _NAME_SIZE, _DETAIL_SIZE, _CAPTION_SIZE = 17, 9, 11.5, 8, 7.5
_NAME_LINES, _CAPTION_LINES = 2, 4
_STYLE = STYLE | {"font.size": _SMALL_SIZE, "axes.titlesize": 10}
_GRAY = "#555555"

# Draws into the ``Axes`` that it gets.
Chart = Callable[[Any], None]


@dataclass(frozen=True, kw_only=True)
class Tile:
    """A picture of a sheet.

    Attributes:
        image: RGB uint8 (H, W, 3); None for a sample that can't be decoded.
        caption: texts below it; each has up to four lines of its own.
    """

    image: Bytes | None
    caption: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ContactSheet:
    """What a sheet shows.

    Attributes:
        tiles: line by line; None leaves a place empty.
        names: number of a line, from 0 -> a name and a detail, which stand at its left.
        legend: names of the colors of CYCLE, in their order, below the tiles.
    """

    title: str
    subtitle: str
    tiles: Sequence[Tile | None]
    columns: int
    names: Mapping[int, tuple[str, str]] = field(default_factory=dict)
    legend: Sequence[str] = ()

    @property
    def tiles_left(self) -> float:
        """Inches from the left to the tiles: names get the room that the longest needs."""
        if not self.names:
            return _MARGIN
        widest = max(text_inches(name, _NAME_SIZE, bold=True) for name, _ in self.names.values())
        # Lines of a name end between its words, so they need more than their share.
        return _MARGIN + min(max(1.2 * widest / _NAME_LINES, _NARROWEST), _WIDEST)

    @property
    def pitch(self) -> float:
        """Inches from tile to tile."""
        return (_WIDTH - _MARGIN - self.tiles_left) / self.columns


def write_contact_sheet(
    sheet: ContactSheet, path: Path, *, charts: Sequence[tuple[float, Chart]] = ()
) -> None:
    """Write the sheet as PNG, 1860 px wide; the same sheet gives the same bytes on a machine.

    Args:
        charts: side by side below the sheet: the relative width of each, and what draws it.

    Raises ``OSError``.
    """
    firsts = range(0, len(sheet.tiles), sheet.columns)
    rows = [sheet.tiles[first : first + sheet.columns] for first in firsts]
    captions = [[_fit_caption(tile, sheet.pitch) for tile in row] for row in rows]
    heights = [
        sheet.pitch + max(_inches_of_lines(c, _CAPTION_SIZE) for c in row) for row in captions
    ]
    *tops, end = accumulate(heights, initial=_MARGIN + _TITLE + _SUBTITLE)
    colors = list(_place_colors(sheet.legend, end + _GAP))
    end = max((y for _, y, _ in colors), default=end - _LEGEND) + _LEGEND
    height = end + (_CHARTS if charts else 0) + _MARGIN
    with rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, height), dpi=150)
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, _WIDTH), ylim=(height, 0))
        axes.axis("off")
        _draw_title(axes, sheet)
        for top, row, below in zip(tops, rows, captions, strict=True):
            _draw_row(axes, sheet, top, row, below)
        for line, texts in sheet.names.items():
            _draw_name(axes, sheet, tops[line], *texts)
        for number, (x, y, name) in enumerate(colors):
            axes.add_patch(Rectangle((x, y), 0.14, 0.14, color=CYCLE[number % len(CYCLE)]))
            axes.text(x + 0.2, y + 0.07, name, va="center")
        if charts:
            _draw_charts(figure, charts)
        save_figure(figure, path, format="png", metadata={"Software": None})


def _draw_title(axes: Any, sheet: ContactSheet) -> None:
    title = fit_text(sheet.title, _INNER, _TITLE_SIZE, bold=True)
    axes.text(_MARGIN, _MARGIN, title, va="top", fontsize=_TITLE_SIZE, weight="bold")
    subtitle = fit_text(sheet.subtitle, _INNER, _SMALL_SIZE)
    axes.text(_MARGIN, _MARGIN + _TITLE, subtitle, va="top", color=_GRAY)


def _draw_row(
    axes: Any,
    sheet: ContactSheet,
    top: float,
    tiles: Sequence[Tile | None],
    captions: Sequence[str],
) -> None:
    side = sheet.pitch - _GAP
    for column, (tile, caption) in enumerate(zip(tiles, captions, strict=True)):
        if tile is None:
            continue
        x, y = sheet.tiles_left + _GAP + column * sheet.pitch + side / 2, top + side / 2
        if (image := tile.image) is None:
            image = np.full((1, 1, 3), 232, np.uint8)
            axes.text(x, y, "damaged", ha="center", va="center", color=_GRAY)
        half_height, half_width = (side / 2 * n / max(image.shape[:2]) for n in image.shape[:2])
        extent = (x - half_width, x + half_width, y + half_height, y - half_height)
        interpolation = "nearest" if max(image.shape[:2]) <= PIXELATED_PX else None
        axes.imshow(image, extent=extent, aspect="auto", interpolation=interpolation)
        axes.text(x, top + side + 0.04, caption, ha="center", va="top", fontsize=_CAPTION_SIZE)


def _draw_name(axes: Any, sheet: ContactSheet, top: float, name: str, detail: str) -> None:
    inches = sheet.tiles_left - _MARGIN
    name = fit_text(name, inches, _NAME_SIZE, lines=_NAME_LINES, bold=True)
    axes.text(_MARGIN, top, name, va="top", fontsize=_NAME_SIZE, weight="bold")
    below = _inches_of_lines(name, _NAME_SIZE) + 0.04
    lines = max(1, int((sheet.pitch - below) / _inches_of_lines("0", _DETAIL_SIZE)))
    detail = fit_text(detail, inches, _DETAIL_SIZE, lines=lines)
    axes.text(_MARGIN, top + below, detail, va="top", fontsize=_DETAIL_SIZE, color=_GRAY)


def _draw_charts(figure: Figure, charts: Sequence[tuple[float, Chart]]) -> None:
    """At the bottom of the figure."""
    width, height = figure.get_size_inches()
    rect = (_MARGIN / width, _MARGIN / height, _INNER / width, (_CHARTS - _MARGIN) / height)
    figure.set_layout_engine(ConstrainedLayoutEngine(rect=rect))
    ratios, draws = zip(*charts, strict=True)
    places = figure.subplots(1, len(charts), squeeze=False, width_ratios=ratios).flat
    for axes, draw in zip(places, draws, strict=True):
        draw(axes)


def _fit_caption(tile: Tile | None, inches: float) -> str:
    texts = tile.caption if tile else ()
    fitted = (fit_text(text, inches - _GAP, _CAPTION_SIZE, lines=_CAPTION_LINES) for text in texts)
    return "\n".join(fitted)


def _caption_height(caption: str) -> float:
    return _inches_of_lines(caption, _CAPTION_SIZE) + (_GAP if caption else 0)


def _inches_of_lines(text: str, points: float) -> float:
    """The height of `text`, 0 if it is empty."""
    return len(text.splitlines()) * 1.25 * points / 72


def _place_colors(names: Sequence[str], top: float) -> Iterator[tuple[float, float, str]]:
    """(x, y, name) of each color of a legend, in as many lines as they need."""
    x, y = _MARGIN, top
    for text in names:
        name = fit_text(text, 4, _SMALL_SIZE)
        width = 0.2 + text_inches(name, _SMALL_SIZE)
        if x + width > _WIDTH - _MARGIN:
            x, y = _MARGIN, y + _LEGEND
        yield x, y, name
        x += width + 0.3
