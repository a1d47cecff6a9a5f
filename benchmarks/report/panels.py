"""Panels: a chart each, drawn as SVG for the HTML page and as PNG for Markdown."""

import io
import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import escape
from matplotlib import rc_context
from matplotlib.figure import Figure
from PIL import Image

from pipeline.chart_fonts import save_figure
from pipeline.chart_style import STYLE

WIDTH_INCHES = 5.6
# Placeholder for the text color of the page, which differs between light and dark mode.
_INK = "#010203"
# A constant salt: the same chart gives the same SVG.
_STYLE = STYLE | {"svg.hashsalt": "shardline"}
_TITLE_LETTERS = 58
# Enough for the edges of letters, at a third of the bytes.
_COLORS = 48


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A chart: its `title` states the finding, `description` is the text for screen readers, and
    `draw` draws on matplotlib axes."""

    name: str
    title: str
    description: str
    draw: Callable[[Any], object]
    height_inches: float = 3.3


def as_svg(panel: Panel) -> str:
    """SVG without a title, whose text and axes take the text color of the page."""
    colors = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
    ink: Any = {**dict.fromkeys(colors, _INK), "grid.color": _INK}
    with rc_context({**_STYLE, **ink}):
        file = io.StringIO()
        metadata: Any = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        save_figure(_figure(panel), file, format="svg", transparent=True, metadata=metadata)
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :].replace(_INK, "currentColor")
    # Ids must be unique in the page.
    svg = re.sub(r'(id="|href="#|url\(#)', rf"\g<1>{panel.name}-", svg)
    size = re.compile(r'<svg ([^>]*?)width="[^"]*" height="[^"]*"')
    label = f'role="img" aria-label="{escape(panel.description)}" '
    return size.sub(lambda match: f"<svg {label}{match[1]}", svg, count=1)


def write_png(panel: Panel, folder: Path) -> None:
    """Write the chart with its title, on white."""
    with rc_context(_STYLE):
        figure = _figure(panel)
        title = textwrap.fill(panel.title, _TITLE_LETTERS)
        figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
        file = io.BytesIO()
        save_figure(figure, file, dpi=130)
    with Image.open(file) as image:
        image.convert("RGB").quantize(_COLORS).save(folder / f"{panel.name}.png", optimize=True)


def _figure(panel: Panel) -> Figure:
    figure = Figure(figsize=(WIDTH_INCHES, panel.height_inches), layout="constrained")
    panel.draw(figure.subplots())
    return figure
