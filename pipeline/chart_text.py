"""Text that fits its place in a chart, by the widths of its letters."""

import re
from functools import cache

from pipeline.chart_fonts import drawable, font_file

# A line may end after these.
_BREAK = re.compile(r"[\s_\-/,;]")
_POINTS_PER_INCH = 72
# Widths are read at this size, in pixels.
_EM = 64
# Of a place, because hinting makes letters a little wider or narrower.
_USED = 0.97


def text_inches(text: str, points: float, *, bold: bool = False) -> float:
    """The width of `text` in one line at a font size of `points`."""
    return _ems(text, bold=bold) * points / _POINTS_PER_INCH


def fit_text(text: str, inches: float, points: float, *, lines: int = 1, bold: bool = False) -> str:
    """`text` in at most `lines` lines that are `inches` wide at a font size of `points`.

    A line ends after a space, "_", "-", "/", "," or ";", unless that leaves three quarters of it
    empty. Text that has no room loses the middle of its last line, so that names with the same
    beginning stay distinct.
    "?" stands for letters that no font has, a space for any white space.
    """
    limit = _USED * inches * _POINTS_PER_INCH / points
    rest, wrapped = " ".join(drawable(text).split()), list[str]()
    while len(wrapped) < lines - 1 and _ems(rest, bold=bold) > limit:
        count = _first_line(rest, limit, bold=bold)
        wrapped.append(rest[:count].rstrip())
        rest = rest[count:].lstrip()
    return "\n".join([*wrapped, _shorten(rest, limit, bold=bold)])


def _first_line(text: str, limit: float, *, bold: bool) -> int:
    """How many letters of `text`, which is wider than `limit` ems, make its first line: at least
    one."""
    count, width = 0, 0.0
    for letter in text:
        width += _ems(letter, bold=bold)
        if width > limit:
            break
        count += 1
    count = max(1, count)
    # The space after a full line takes no room.
    ends = [match.end() for match in _BREAK.finditer(text[: count + 1]) if match.group().isspace()]
    ends += [match.end() for match in _BREAK.finditer(text[:count])]
    best = max(ends, default=0)
    return best if 4 * best >= count else count


def _shorten(text: str, limit: float, *, bold: bool) -> str:
    """`text` without its middle if it is wider than `limit` ems."""
    if _ems(text, bold=bold) <= limit:
        return text
    room = limit - _ems("…", bold=bold)
    first, last = 0, len(text)
    while first < last:
        takes_first = first <= len(text) - last
        room -= _ems(text[first] if takes_first else text[last - 1], bold=bold)
        if room < 0:
            break
        first, last = (first + 1, last) if takes_first else (first, last - 1)
    return f"{text[:first].rstrip()}…{text[last:].lstrip()}"


def _ems(text: str, *, bold: bool) -> float:
    """The width of `text` in multiples of the font size."""
    files = {letter: font_file(letter, bold=bold) for letter in set(text)}
    return sum(_advance(files[letter], letter) for letter in text)


@cache
def _advance(file: str | None, letter: str) -> float:
    """From a letter to the next one, in multiples of the font size; 0 for marks above another."""
    if file is None:
        return 1.0  # a box
    from matplotlib.font_manager import get_font

    font = get_font(file)
    font.set_size(_EM, _POINTS_PER_INCH)
    return font.load_char(ord(letter)).linearHoriAdvance / 65536 / _EM
