"""Check that the values of a dataclass, read from a file, have the types of its fields."""

import dataclasses
import math
import types
import typing
from typing import Any


def require_types(instance: Any) -> None:
    """Raise ``TypeError`` with the first field of a dataclass whose value has another type or is a
    number that isn't finite."""
    for name, hint in typing.get_type_hints(type(instance)).items():
        if not _fits(getattr(instance, name), hint):
            raise TypeError(f"{name} is {getattr(instance, name)!r:.60}")


def settings_values(value: Any) -> Any:
    """A value from JSON as a field has it: lists become tuples."""
    return tuple(value) if isinstance(value, list) else value


def _fits(value: object, hint: Any) -> bool:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return any(type(value) is type(other) and value == other for other in arguments)
    if origin in (types.UnionType, typing.Union):
        return any(_fits(value, arm) for arm in arguments)
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        kinds = arguments[:1] * len(value) if arguments[-1] is Ellipsis else arguments
        return len(value) == len(kinds) and all(map(_fits, value, kinds))
    if hint is float:
        return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]
    return not isinstance(hint, type) or type(value) is hint or dataclasses.is_dataclass(value)
