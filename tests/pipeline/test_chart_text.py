"""Text in charts has at most the width and the lines of its place."""

from hypothesis import given
from hypothesis import strategies as st
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pipeline.chart_style import STYLE
from pipeline.chart_text import fit_text, text_inches

LONG = "Pneumonia_bacterial_of_the_left_upper_lobe"


def drawn_inches(text: str, points: float, weight: str) -> float:
    """The width that matplotlib gives `text`."""
    with rc_context(STYLE):
        figure = Figure(dpi=150)
        artist = figure.text(0, 0, text, fontsize=points, weight=weight)
        box = artist.get_window_extent(FigureCanvasAgg(figure).get_renderer())
    return float(box.width) / 150


@given(st.text(max_size=80), st.floats(0.5, 4), st.integers(1, 3), st.booleans())
def test_text_fits(text: str, inches: float, lines: int, bold: bool) -> None:
    fitted = fit_text(text, inches, 9, lines=lines, bold=bold).split("\n")
    assert len(fitted) <= lines
    assert all(text_inches(line, 9, bold=bold) <= inches for line in fitted)


def test_widths_are_those_that_matplotlib_draws() -> None:
    for text in (LONG, "WWWW iiii", "\u0416\u0443\u043a \u05d0\u05d1", "12:34 (99.5%)"):
        for weight in ("normal", "bold"):
            drawn = drawn_inches(text, 11.5, weight)
            assert abs(text_inches(text, 11.5, bold=weight == "bold") / drawn - 1) < 0.04


def test_a_name_of_40_letters_keeps_all_of_them_in_three_lines() -> None:
    assert fit_text(LONG, 1.0, 7.5, lines=3) == "Pneumonia_\nbacterial_of_the_\nleft_upper_lobe"
    words = LONG.replace("_", " ")
    assert fit_text(words, 1.0, 7.5, lines=3).replace("\n", " ") == words


def test_a_line_ends_between_words_where_it_can() -> None:
    assert fit_text("wide letters, here", 0.9, 9, lines=3) == "wide letters,\nhere"
    # A word that is longer than a line begins after a short one.
    assert fit_text(f"a {60 * 'i'}, b", 1, 9, lines=3).startswith("a iii")


def test_what_has_no_room_loses_its_middle() -> None:
    left, right = (fit_text(f"{LONG}_{side}", 1.2, 9) for side in ("left", "right"))
    assert left != right and left.startswith("Pneum") and left.endswith("_left")
    assert fit_text("a \ue000\n\u0416\u0443\u043a", 2, 9) == "a ? \u0416\u0443\u043a"
    assert fit_text("", 1, 9, lines=3) == ""
