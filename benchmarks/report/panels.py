"""Panels: a plot each, drawn once for the page and once as a picture of its own."""

import io
import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure
from PIL import Image

from pipeline.chart_style import STYLE

Draw = Callable[[Any], None]

WIDTH_INCHES = 5.6
# Stands for the page's own color of text, whatever that is.
_INK = "#010203"
# The same plot is the same text.
_STYLE = STYLE | {"svg.hashsalt": "shardline"}
_TITLE_LETTERS = 62
# Enough for the edges of letters, and a third of the bytes.
_COLORS = 48


@dataclass(frozen=True, kw_only=True)
class Panel:
    """`title` says the finding; `shows` what is drawn, for those who don't see it."""

    name: str
    title: str
    shows: str
    draw: Draw
    height_inches: float = 3.3


def as_svg(panel: Panel) -> str:
    """To stand in a page, which has the title and gives its color to text and axes."""
    colors = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
    ink: Any = {**dict.fromkeys(colors, _INK), "grid.color": _INK}
    with rc_context({**_STYLE, **ink}):
        file = io.StringIO()
        metadata: Any = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        _figure(panel).savefig(file, format="svg", transparent=True, metadata=metadata)
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :].replace(_INK, "currentColor")
    # Ids are those of one document, links to namespaces are not looked up.
    svg = re.sub(r'(id="|href="#|url\(#)', rf"\g<1>{panel.name}-", svg)
    size = re.compile(r'<svg ([^>]*?)width="[^"]*" height="[^"]*"')
    label = f'role="img" aria-label="{_escaped(panel.shows)}" '
    return size.sub(lambda found: f"<svg {label}{found[1]}", svg, count=1)


def write_png(panel: Panel, folder: Path) -> Path:
    """With its title, on white."""
    path = folder / f"{panel.name}.png"
    with rc_context(_STYLE):
        figure = _figure(panel)
        title = textwrap.fill(panel.title, _TITLE_LETTERS)
        figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
        file = io.BytesIO()
        figure.savefig(file, dpi=130)
    with Image.open(file) as picture:
        picture.convert("RGB").quantize(_COLORS).save(path, optimize=True)
    return path


def _figure(panel: Panel) -> Figure:
    figure = Figure(figsize=(WIDTH_INCHES, panel.height_inches), layout="constrained")
    panel.draw(figure.subplots())
    return figure


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
