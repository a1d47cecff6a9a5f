"""Text that fits its place and that the font can draw."""

import string
import textwrap
from functools import cache

from matplotlib.font_manager import findfont, get_font

# Comes with matplotlib, so the same dataset gives the same picture on every machine.
FONT = "DejaVu Sans"


def fit_text(text: str, characters: int, lines: int = 1) -> str:
    """At most `lines` lines of `characters` each; "?" stands for letters that the font lacks."""
    text = "".join(letter if ord(letter) in _letters() else "?" for letter in text)
    wrapped = textwrap.wrap(text, characters)
    if len(wrapped) > lines:
        wrapped[lines - 1 :] = [wrapped[lines - 1][: characters - 1].rstrip() + "\u2026"]
    return "\n".join(wrapped)


def class_labels(names: tuple[str, ...]) -> list[str]:
    """Class names for a picture; a name that has no letter in the font becomes "class 7"."""
    return [
        name if any(ord(letter) in _letters() for letter in name.strip()) else f"class {number}"
        for number, name in enumerate(names)
    ]


@cache
def _letters() -> frozenset[int]:
    return frozenset(get_font(findfont(FONT)).get_charmap()) | set(map(ord, string.whitespace))
