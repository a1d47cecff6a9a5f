"""Check the values of a JSON object from elsewhere: each has a type and bounds."""

import json
import math
import re
from collections.abc import Callable
from typing import Any, TypeVar

Value = TypeVar("Value")
# Returns the value as Python has it, or raises ``InvalidValueError``.
Check = Callable[[object], Value]

# Characters of a value that a message shows.
_SHOWN = 60
MAX_TEXT = 10_000
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class InvalidValueError(ValueError):
    """A value is not what its field allows; the text names both."""

    def __init__(self, value: object, expected: str, where: str = "") -> None:
        shown = repr(value)
        shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
        super().__init__(f"{where.removeprefix('.') or 'its content'} is {shown}, not {expected}")
        self.value, self.expected, self.where = value, expected, where

    def within(self, outer: str) -> "InvalidValueError":
        """The same error of a value inside `outer`, such as ".classes"."""
        return InvalidValueError(self.value, self.expected, outer + self.where)


class Fields:
    """The fields of a JSON object, each of which is taken once."""

    def __init__(self, value: object) -> None:
        if not isinstance(value, dict):
            raise InvalidValueError(value, "an object")
        self._values = dict(value)

    def take(self, name: str, check: Check[Value]) -> Value:
        """The checked value of a field, which must be there."""
        if name not in self._values:
            raise InvalidValueError(None, "there, but this field is required", f".{name}")
        return within(f".{name}", check, self._values.pop(name))

    def take_if_there(self, name: str, check: Check[Value]) -> Value | None:
        """The checked value of a field; None if it is missing."""
        return self.take(name, check) if name in self._values else None

    def end(self) -> None:
        """Raise ``InvalidValueError`` if a field is left."""
        for name, value in self._values.items():
            raise InvalidValueError(value, "known: there is no such field", f".{name[:_SHOWN]}")


def parse_json(text: str) -> object:
    """The JSON value; raises ``ValueError`` for anything else, also for NaN and Infinity."""
    try:
        value: object = json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    return value


def within(outer: str, check: Check[Value], value: object) -> Value:
    """The checked `value`, which is at the place `outer`."""
    try:
        return check(value)
    except InvalidValueError as error:
        raise error.within(outer) from None


def integer(low: int, high: int) -> Check[int]:
    def check(value: object) -> int:
        if type(value) is not int or not low <= value <= high:
            raise InvalidValueError(value, f"a whole number from {low} to {high}")
        return value

    return check


def number(low: float = -math.inf, high: float = math.inf) -> Check[float]:
    """A finite number."""

    def check(value: object) -> float:
        # An integer may be too large for a float.
        is_number = type(value) is float or (type(value) is int and abs(value) < 2**53)
        if not is_number or not math.isfinite(value) or not low <= value <= high:  # type: ignore[arg-type,operator]
            bounds = "" if low == -math.inf else f" from {low} to {high}"
            raise InvalidValueError(value, f"a number{bounds}")
        return float(value)  # type: ignore[arg-type]

    return check


def text(value: object) -> str:
    """A string of at most MAX_TEXT characters that UTF-8 can encode."""
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise InvalidValueError(value, f"a text of at most {MAX_TEXT:,} characters")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidValueError(value, "a text that UTF-8 can encode") from None
    return value


def one_of(*allowed: object) -> Check[Any]:
    def check(value: object) -> Any:
        if not any(type(value) is type(other) and value == other for other in allowed):
            raise InvalidValueError(value, " or ".join(map(str, allowed)))
        return value

    return check


def file_name(value: object) -> str:
    """The name of a file, without folders."""
    if not isinstance(value, str) or not _FILE_NAME.fullmatch(value):
        raise InvalidValueError(value, "a plain file name")
    return value


def sha256_hex(value: object) -> str:
    if not isinstance(value, str) or not _SHA256.fullmatch(value):
        raise InvalidValueError(value, "a SHA-256 in 64 hexadecimal digits")
    return value


def any_object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidValueError(value, "an object")
    return value


def list_of(check: Check[Value], low: int, high: int) -> Check[tuple[Value, ...]]:
    """A list of `low` to `high` values."""

    def check_all(value: object) -> tuple[Value, ...]:
        if not isinstance(value, list) or not low <= len(value) <= high:
            count = str(low) if low == high else f"{low} to {high}"
            raise InvalidValueError(value, f"a list of {count} values")
        return tuple(within(f"[{place}]", check, part) for place, part in enumerate(value))

    return check_all


def three(values: tuple[Value, ...]) -> tuple[Value, Value, Value]:
    """A list of three values as a tuple of three."""
    first, second, third = values
    return first, second, third


def optional(check: Check[Value]) -> Check[Value | None]:
    """Also allows null."""
    return lambda value: None if value is None else check(value)


def object_of(check_name: Check[str], check: Check[Value]) -> Check[dict[str, Value]]:
    """An object whose names are not fixed."""

    def check_all(value: object) -> dict[str, Value]:
        values = any_object(value)
        names = [within(" has a name that", check_name, name) for name in values]
        return {name: within(f".{name}", check, values[name]) for name in names}

    return check_all


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no value of JSON")
