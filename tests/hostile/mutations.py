"""Seeded changes of a JSON value, at any place in it."""

import copy
import random
from typing import Any

Path = tuple[str | int, ...]


def values(victim: str) -> list[Any]:
    """Values that no field expects, or few do. `victim` is the path of a file."""
    deep: Any = []
    for _ in range(200):
        deep = [deep]
    return [
        *(None, True, False, -1, 0, 1, 2, 255, 2**31, 2**32, 2**63, 2**64, 10**15, 10**40),
        *(0.5, -0.0, 1e308, float("inf"), float("nan"), "", "0", "-1", "1e5"),
        *(
            "../../victim",
            victim,
            "..",
            "a/b",
            "a\0b",
            ".hidden",
            "http://192.0.2.1/x",
            "a" * 20000,
        ),
        *("\ud800", "\x1b[31m", "é", [], {}, [[]], [1], {"a": 1}, deep, [0] * 1000),
    ]


def mutate(document: Any, seed: int, victim: str) -> Any:
    """A copy of `document` with one to three changes."""
    draw = random.Random(seed)
    changed = copy.deepcopy(document)
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        places = paths(changed)
        path = draw.choice(places)
        inside = changed
        for step in path[:-1]:
            inside = inside[step]
        _change(inside, path[-1], draw, victim, places, changed)
    return changed


def paths(document: Any, above: Path = ()) -> list[Path]:
    """The place of every value in `document`."""
    steps: Any = ()
    if isinstance(document, dict):
        steps = list(document)
    elif isinstance(document, list):
        steps = range(len(document))
    return [
        path
        for step in steps
        for path in ((*above, step), *paths(document[step], (*above, step))[:400])
    ]


def _change(
    inside: Any, step: Any, draw: random.Random, victim: str, places: list[Path], document: Any
) -> None:
    how = draw.choice(("replace", "replace", "replace", "delete", "copy", "near", "add"))
    value = inside[step]
    if how == "delete":
        del inside[step]
    elif how == "copy":
        other = document
        for part in draw.choice(places):
            other = other[part]
        inside[step] = copy.deepcopy(other)
    elif how == "near" and isinstance(value, int | float):
        inside[step] = draw.choice((-value, value + 1, value - 1, value * 2, str(value), [value]))
    elif how == "near" and isinstance(value, str):
        place = draw.randrange(len(value) + 1)
        inside[step] = value[:place] + draw.choice("./\\%0Z \n") + value[place + 1 :]
    elif how == "add" and isinstance(inside, dict):
        inside[draw.choice(("extra", "..", "/", "shards", "lock"))] = draw.choice(values(victim))
    elif how == "add":
        inside.append(copy.deepcopy(draw.choice([value, *values(victim)])))
    else:
        inside[step] = draw.choice(values(victim))
