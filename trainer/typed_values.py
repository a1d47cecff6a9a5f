"""Plain data from a file -> values of the types that dataclasses declare, or ``ValueError``."""

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union

Record = TypeVar("Record")

# Larger integers are not exact in float64, in which ranks exchange numbers.
LARGEST = 2**53
_SHOWN = 40


def record_from(owner: type[Record], values: object) -> Record:
    """A dataclass from the mapping `values` of its fields. Fields that are missing have their
    defaults.

    Raises ``ValueError`` for another type, another name, a missing field or a wrong value.
    """
    if not isinstance(values, Mapping):
        raise ValueError(f"{_shown(values)} is no record")
    names = {field.name for field in dataclasses.fields(owner)}  # type: ignore[arg-type]
    if unknown := [name for name in values if name not in names]:
        raise ValueError(f"there is no field {_shown(unknown[0])}")
    try:
        return owner(**typed_fields(owner, values))
    except TypeError as error:
        missing = ", ".join(sorted(names - {*values}))
        raise ValueError(f"it lacks {missing}") from error


def typed_fields(owner: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of `values` that are fields of the dataclass `owner`, in the fields' types."""
    hints = typing.get_type_hints(owner)
    fields: dict[str, Any] = {}
    for field in dataclasses.fields(owner):
        if field.name in values:
            try:
                fields[field.name] = typed(hints[field.name], values[field.name])
            except ValueError as error:
                raise ValueError(f"{field.name} is {error}") from None
    return fields


def typed(hint: Any, value: object) -> Any:
    """`value` in the type `hint`: a list becomes a tuple and an integer a float where these are
    asked for.

    Raises ``ValueError`` with the value and the type.
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if origin in (Union, types.UnionType):
        for arm in arguments:
            try:
                return typed(arm, value)
            except ValueError:
                continue
    elif origin is Literal:
        if isinstance(value, str) and value in arguments:
            return value
    elif origin is tuple and isinstance(value, list | tuple):
        kinds = arguments[:1] * len(value) if arguments[-1:] == (...,) else arguments
        if len(kinds) == len(value):
            return tuple(typed(kind, entry) for kind, entry in zip(kinds, value, strict=True))
    elif origin is dict and isinstance(value, dict):
        key_kind, kind = arguments
        return {typed(key_kind, key): typed(kind, entry) for key, entry in value.items()}
    elif hint is types.NoneType:
        if value is None:
            return None
    elif hint in (int, float) and isinstance(value, int) and not isinstance(value, bool):
        if abs(value) <= LARGEST:
            return hint(value)
    elif isinstance(hint, type) and origin is None and type(value) is hint:
        return value
    raise ValueError(f"{_shown(value)}, not {_name(hint)}")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _name(hint: Any) -> str:
    return str(hint) if typing.get_origin(hint) else str(getattr(hint, "__name__", hint))
