"""File names made of values: "{classname}/{img}.jpg", "{id[0]}/{id}", "{number:05d}"."""

import re
import string
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.errors import MisuseError

# A character or a slice of a value, as in {id[0]} and {id[:3]}.
_PART = re.compile(r"(.+)\[(-?\d*)(:?)(-?\d*)\]")


@dataclass(frozen=True)
class Field:
    """Value number `number`, cut by `part`, formatted by `spec`."""

    number: int
    part: slice
    spec: str

    def fill(self, values: Sequence[str]) -> str:
        text = values[self.number].strip()[self.part]
        if self.spec.endswith("d"):
            return format(int(text), self.spec)
        return format(text, self.spec)


@dataclass(frozen=True)
class Template:
    """Texts and fields in turn; `text` is how it was asked for."""

    text: str
    pieces: tuple[str | Field, ...]

    @property
    def numbers(self) -> tuple[int, ...]:
        """The values it uses."""
        return tuple(piece.number for piece in self.pieces if isinstance(piece, Field))

    @property
    def is_plain(self) -> bool:
        """Whether it is one value, as it is."""
        return len(self.pieces) == 1

    def fill(self, values: Sequence[str]) -> str:
        """Raises ``ValueError`` where a value can't be formatted so."""
        return "".join(
            piece if isinstance(piece, str) else piece.fill(values) for piece in self.pieces
        )


def only(number: int, name: str) -> Template:
    """The value itself."""
    return Template("{" + name + "}", (Field(number, slice(None), ""),))


def parse_template(text: str, names: Sequence[str], *, option: str) -> Template:
    """Raises ``MisuseError`` where `text` is no template of the values `names`."""
    pieces: list[str | Field] = []
    try:
        for literal, name, spec, conversion in string.Formatter().parse(text):
            if literal:
                pieces.append(literal)
            if name is not None:
                if conversion or "{" in (spec or ""):
                    raise ValueError("! and nested braces mean nothing here")
                pieces.append(_field(name, spec or "", names))
        if not any(isinstance(piece, Field) for piece in pieces):
            raise ValueError("it has no field in braces")
    except ValueError as error:
        raise MisuseError(f"{option} {text}: {error}.") from error
    return Template(text, tuple(pieces))


def _field(name: str, spec: str, names: Sequence[str]) -> Field:
    part = slice(None)
    if name not in names and (match := _PART.fullmatch(name)):
        name, first, colon, last = match.groups()
        part = _slice(first, colon, last)
    if name not in names:
        raise ValueError(f"there is no {name!r}, only {', '.join(map(repr, names[:20]))}")
    format("1" if not spec.endswith("d") else 1, spec)
    return Field(names.index(name), part, spec)


def _slice(first: str, colon: str, last: str) -> slice:
    if colon:
        return slice(int(first) if first else None, int(last) if last else None)
    start = int(first or "0")
    return slice(start, start + 1 or None)
