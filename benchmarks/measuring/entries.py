"""Typed values from JSON that anyone may have written."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from pipeline.errors import DataError

_NAMES = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}

# Sums and ratios of such numbers are finite; NaN is not below it.
_MAX_NUMBER = 1e100


def from_json(kind: Any, value: Any, where: str = "it") -> Any:
    """Build `kind` from JSON: a dataclass of dataclasses, tuples, mappings, numbers, texts and
    ``Literal``, written by ``dataclasses.asdict``. Entries that a dataclass has no field for are
    ignored; a value of another type (``Any``) stays as it is.

    Raises ``DataError``, which names the entry by the path `where`.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if is_dataclass(kind) and isinstance(kind, type):
        return _dataclass(kind, value, where)
    if origin is UnionType:
        if value is None and NoneType in arguments:
            return None
        (inner,) = (argument for argument in arguments if argument is not NoneType)
        return from_json(inner, value, where)
    if origin is tuple:
        _require(isinstance(value, list | tuple), where, "a list", value)
        kinds = arguments[:1] * len(value) if Ellipsis in arguments else arguments
        _require(len(value) == len(kinds), where, f"a list of {len(kinds)}", value)
        parts = zip(kinds, value, strict=True)
        return tuple(from_json(part, v, f"{where}[{n}]") for n, (part, v) in enumerate(parts))
    if origin is Mapping:
        _require(isinstance(value, Mapping), where, "an object", value)
        return {k: from_json(arguments[1], part, f"{where}[{k!r}]") for k, part in value.items()}
    if origin is Literal:
        _require(value in arguments, where, " or ".join(map(repr, arguments)), value)
    elif kind in _NAMES:
        _require(_is_scalar(kind, value), where, _NAMES[kind], value)
    return value


@contextmanager
def errors_of(path: Path) -> Iterator[None]:
    """Begin the message of a ``DataError`` with the file that it is about."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{path}: {error.message} Measure again, or get the original.") from error


def _dataclass(kind: Any, value: Any, where: str) -> Any:
    _require(isinstance(value, Mapping), where, "an object", value)
    hints, entries = get_type_hints(kind), {}
    for field in fields(kind):
        name = field.name if where == "it" else f"{where}.{field.name}"
        if field.name in value:
            entries[field.name] = from_json(hints[field.name], value[field.name], name)
        elif field.default is MISSING and field.default_factory is MISSING:
            raise DataError(f"the entry {name} is missing.")
    return kind(**entries)


def _is_scalar(kind: type, value: Any) -> bool:
    if kind in (str, bool) or isinstance(value, bool):
        return isinstance(value, kind)
    # JSON has numbers that no float holds, such as 1e999.
    if not isinstance(value, int | float) or not abs(value) < _MAX_NUMBER:
        return False
    return kind is float or value == int(value)


def _require(condition: bool, where: str, what: str, value: Any) -> None:
    if not condition:
        raise DataError(f"{where} must be {what}, not {repr(value)[:40]}.")
