"""Text that fits its place."""

import textwrap
from unicodedata import east_asian_width

from pipeline.chart_fonts import drawable


def fit_text(text: str, characters: int, lines: int = 1) -> str:
    """At most `lines` lines of `characters` each; "?" stands for letters that no font has."""
    text = drawable(text)
    if any(east_asian_width(letter) in "WF" for letter in text):
        # Letters of double width.
        characters = max(1, characters // 2)
    wrapped = textwrap.wrap(text, characters)
    if len(wrapped) > lines:
        wrapped[lines - 1 :] = [wrapped[lines - 1][: characters - 1].rstrip() + "\u2026"]
    return "\n".join(wrapped)
