"""What the font of the pictures can draw."""

from functools import cache

from matplotlib.font_manager import findfont, get_font

FONT = "DejaVu Sans"


def drawable(text: str, instead: str) -> str:
    """`text` on one line; `instead` if the font lacks some of it."""
    text = " ".join(text.split())
    return text if text and all(ord(letter) in _glyphs() for letter in text) else instead


def shortened(text: str, characters: int) -> str:
    """At most so many characters of `text`."""
    return text if len(text) <= characters else text[: max(1, characters - 1)].rstrip() + "\u2026"


@cache
def _glyphs() -> frozenset[int]:
    return frozenset(get_font(findfont(FONT)).get_charmap())
