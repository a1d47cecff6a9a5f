"""Text in charts: names of any script. Fonts of the system draw the letters that matplotlib's font
lacks."""

import string
import warnings
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Comes with matplotlib, so text in its letters gives the same picture on every machine.
FONT = "DejaVu Sans"
_WARNINGS = r"Glyph \d+|Matplotlib currently does not support"


def save_figure(figure: "Figure", file: Any, **settings: Any) -> None:
    """``figure.savefig``, with fonts of the system for letters that its own font lacks.

    A letter that no font has is drawn as a box, without matplotlib's warning.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", _WARNINGS, UserWarning)
        # Labels of ticks have their text from then on.
        figure.draw_without_rendering()
        _add_fonts(figure)
        figure.savefig(file, **settings)


def drawable(text: str) -> str:
    """`text` with "?" for each letter that no font has."""
    _, missing = _find_fonts(text)
    return "".join("?" if letter in missing else letter for letter in text)


def class_labels(names: tuple[str, ...]) -> list[str]:
    """Class names for a picture; a name that has no letter in any font becomes "class 7"."""
    _, missing = _find_fonts("".join(names))
    return [
        name if set(name.strip()) - missing else f"class {number}"
        for number, name in enumerate(names)
    ]


def font_file(letter: str, *, bold: bool = False) -> str | None:
    """The file of the font that draws `letter`: that of charts, or one of the system if only that
    has the letter; None if no font has it."""
    from matplotlib.font_manager import FontProperties, findfont

    own = findfont(FontProperties(family=FONT, weight="bold" if bold else "normal"))
    files = (own, *(file for _, file in _system_fonts())) if letter not in _letters(own) else (own,)
    return next((file for file in files if letter in _letters(file)), None)


def _add_fonts(figure: "Figure") -> None:
    from matplotlib.text import Text

    texts: Iterable[Any] = figure.findobj(Text)
    for text in texts:
        fonts, _ = _find_fonts(text.get_text())
        if len(fonts) > 1:
            text.set_fontfamily(fonts)


def _find_fonts(text: str) -> tuple[list[str], set[str]]:
    """The font of charts and those of the system that have more of the letters of `text`, and the
    letters that none has."""
    from matplotlib.font_manager import findfont

    families, missing = [FONT], set(text) - _letters(findfont(FONT)) - set(string.whitespace)
    for family, file in _system_fonts() if missing else ():
        if letters := missing & _letters(file):
            families.append(family)
            missing -= letters
        if not missing:
            break
    return families, missing


@cache
def _system_fonts() -> list[tuple[str, str]]:
    """(family, file) of each installed font."""
    from matplotlib import get_data_path
    from matplotlib.font_manager import fontManager

    # matplotlib's others have symbols in the place of letters, or a box for every letter.
    own = get_data_path()
    fonts = [font for font in fontManager.ttflist if not font.fname.startswith(own)]
    files = {font.name: font.fname for font in fonts if font.style == "normal"}
    return sorted(files.items())


@cache
def _letters(file: str) -> frozenset[str]:
    from matplotlib.font_manager import get_font

    try:
        return frozenset(map(chr, get_font(file).get_charmap()))
    except (OSError, RuntimeError):  # a font that was removed, or that FreeType can't read
        return frozenset()
