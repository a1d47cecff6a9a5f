"""File names with fields for values: "{classname}/{img}.jpg", "{id[0]}/{id}", "{number:05d}"."""

import re
import string
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.errors import MisuseError
from pipeline.text import join_names

# A field with a character or a slice of a value: {id[0]}, {id[:3]}.
_PART = re.compile(r"(.+)\[(-?\d*)(:?)(-?\d*)\]")


@dataclass(frozen=True)
class Field:
    """The slice `part` of the value at index `number`, formatted by `spec`."""

    number: int
    part: slice
    spec: str

    def fill(self, values: Sequence[str]) -> str:
        """The text of the field; raises ``ValueError`` if the value can't be formatted."""
        text = values[self.number].strip()[self.part]
        return format(int(text) if self.spec.endswith("d") else text, self.spec)


@dataclass(frozen=True)
class Template:
    """`parts` are literal texts and fields; `text` is the template as the user wrote it."""

    text: str
    parts: tuple[str | Field, ...]

    @property
    def numbers(self) -> tuple[int, ...]:
        """The indices of the values that it uses."""
        return tuple(part.number for part in self.parts if isinstance(part, Field))

    @property
    def is_plain(self) -> bool:
        """Whether it is a single value."""
        return len(self.parts) == 1

    def fill(self, values: Sequence[str]) -> str:
        """The text with `values` filled in; raises ``ValueError`` if one can't be formatted."""
        return "".join(part if isinstance(part, str) else part.fill(values) for part in self.parts)


def single_value(number: int, name: str) -> Template:
    """The template of one value, called `name`."""
    return Template("{" + name + "}", (Field(number, slice(None), ""),))


def parse_template(text: str, names: Sequence[str], *, option: str) -> Template:
    """Parse a template of the values `names`; raises ``MisuseError`` if it is invalid."""
    parts: list[str | Field] = []
    try:
        for literal, name, spec, conversion in string.Formatter().parse(text):
            if literal:
                parts.append(literal)
            if name is not None:
                if conversion or "{" in (spec or ""):
                    raise ValueError("it must not contain ! or nested braces")
                parts.append(_field(name, spec or "", names))
        if not any(isinstance(part, Field) for part in parts):
            raise ValueError("it has no field in braces")
    except ValueError as error:
        raise MisuseError(f"{option} {text}: {error}.") from error
    return Template(text, tuple(parts))


def _field(name: str, spec: str, names: Sequence[str]) -> Field:
    part = slice(None)
    if name not in names and (match := _PART.fullmatch(name)):
        name, first, colon, last = match.groups()
        part = _slice(first, colon, last)
    if name not in names:
        raise ValueError(f"unknown field {name!r}; fields are {join_names(names, 20, quote=True)}")
    format("1" if not spec.endswith("d") else 1, spec)
    return Field(names.index(name), part, spec)


def _slice(first: str, colon: str, last: str) -> slice:
    if colon:
        return slice(int(first) if first else None, int(last) if last else None)
    start = int(first or "0")
    return slice(start, start + 1 or None)
