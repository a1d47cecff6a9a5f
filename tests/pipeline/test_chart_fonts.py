"""Names of any script in charts: no warning of matplotlib, and the system's fonts if they help."""

from collections.abc import Iterator
from pathlib import Path

import matplotlib.font_manager
import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import rc_context
from matplotlib.figure import Figure

from pipeline import chart_fonts
from pipeline.chart_fonts import class_labels, drawable, save_figure
from pipeline.chart_style import STYLE
from trainer.evaluation.confusion import Confusion, draw_confusion

HAS, LACKS = "\u65e5", "\u672c"  # of the font "Shardline Test"


@pytest.fixture
def fonts(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[matplotlib.font_manager.FontEntry]]:
    """The fonts of the system: those that come with matplotlib."""
    manager = matplotlib.font_manager.fontManager
    own = [font for font in manager.ttflist if font.fname.startswith(matplotlib.get_data_path())]
    monkeypatch.setattr(manager, "ttflist", own)
    chart_fonts._system_fonts.cache_clear()
    yield own
    chart_fonts._system_fonts.cache_clear()


@pytest.fixture
def installed(fonts: list[matplotlib.font_manager.FontEntry], tmp_path: Path) -> str:
    """The family of a font with one letter, a square."""
    pen = TTGlyphPen(None)
    for number, point in enumerate(((0, 0), (0, 900), (900, 900), (900, 0))):
        (pen.lineTo if number else pen.moveTo)(point)
    pen.closePath()
    square, empty = pen.glyph(), TTGlyphPen(None).glyph()
    builder = FontBuilder(1000)
    builder.setupGlyphOrder([".notdef", "square"])
    builder.setupCharacterMap({ord(HAS): "square"})
    builder.setupGlyf({".notdef": empty, "square": square})
    builder.setupHorizontalMetrics({".notdef": (1000, 0), "square": (1000, 0)})
    builder.setupHorizontalHeader(ascent=900, descent=-100)
    builder.setupNameTable({"familyName": "Shardline Test", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(tmp_path / "test.ttf")
    matplotlib.font_manager.fontManager.addfont(tmp_path / "test.ttf")
    return "Shardline Test"


def figure_of(text: str) -> Figure:
    figure = Figure(layout="constrained")
    axes = figure.subplots()
    axes.set_title(text)
    axes.set_xticks([0, 1], [text, "cat"])
    axes.plot([0, 1], [0, 1], label=text)
    axes.legend()
    return figure


@pytest.mark.usefixtures("fonts")
@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
@pytest.mark.parametrize(
    "text", [HAS, "\u0645\u0631\u062d\u0628\u0627 \u05d0", "\U0001f600 \u0e01"]
)
def test_letters_that_no_font_has_give_no_warning(tmp_path: Path, text: str, suffix: str) -> None:
    with rc_context(STYLE):
        save_figure(figure_of(text), tmp_path / f"chart.{suffix}")
    assert (tmp_path / f"chart.{suffix}").stat().st_size > 1000


@pytest.mark.usefixtures("fonts")
def test_such_letters_have_replacements() -> None:
    assert drawable(f"a {HAS}\n") == "a ?\n"
    assert class_labels(("cat", HAS, f"{HAS} b")) == ["cat", "class 1", f"{HAS} b"]


def test_fonts_of_the_system_draw_them(installed: str, tmp_path: Path) -> None:
    assert drawable(HAS + LACKS) == f"{HAS}?"
    assert class_labels((HAS, LACKS)) == [HAS, "class 1"]
    dark = []
    for text in ("cat", f"cat {HAS}"):
        with rc_context(STYLE):
            figure = figure_of("cat")
            title = figure.axes[0].set_title(text)
            save_figure(figure, tmp_path / "chart.png")
        dark.append(int(np.sum(matplotlib.image.imread(tmp_path / "chart.png")[..., 0] < 0.5)))
    assert title.get_fontfamily() == [chart_fonts.FONT, installed]
    assert dark[1] - dark[0] > 100  # pixels of the square


@pytest.mark.usefixtures("fonts")
@pytest.mark.parametrize("classes", [3, 50])
def test_confusions_of_classes_in_another_script(tmp_path: Path, classes: int) -> None:
    names = tuple(chr(ord(HAS) + number) for number in range(classes))
    counts = np.eye(classes, dtype=np.int64)[::-1] + 1
    draw_confusion(Confusion(classes=names, counts=counts), tmp_path / "confusion.png")
    assert (tmp_path / "confusion.png").read_bytes().startswith(b"\x89PNG")
