"""Join readings of different kinds that are splits of one whole. Pure functions."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tools.readings.reading import Reading, common_count, order_parts

_MAX_COMMON_IMAGES, _MIN_COMMON_CLASSES = 0.05, 0.5


def join_splits(readings: Sequence[Reading]) -> list[Reading]:
    """The readings, with those of other splits and the same classes as one."""
    joined: list[Reading] = []
    for reading in sorted(readings, key=lambda reading: -len(reading.images)):
        place = next((n for n, other in enumerate(joined) if _are_splits(other, reading)), None)
        if place is None:
            joined.append(reading)
        else:
            joined[place] = _join(joined[place], reading)
    return joined


def _are_splits(one: Reading, other: Reading) -> bool:
    splits = one.splits & other.splits
    if one.task != other.task or splits or None in one.splits | other.splits:
        return False
    if not one.classes or not other.classes:
        return False
    common = common_count(one, other)
    smaller = min(len(one.classes), len(other.classes))
    return (
        common <= _MAX_COMMON_IMAGES * min(len(one.images), len(other.images))
        and len(one.classes & other.classes) >= _MIN_COMMON_CLASSES * smaller
    )


def _join(one: Reading, other: Reading) -> Reading:
    return replace(
        one,
        parts=order_parts([*one.parts, *other.parts]),
        words=(*one.words, *other.words),
        images=np.union1d(one.images, other.images),
        classes=one.classes | other.classes,
        is_asked_for=one.is_asked_for or other.is_asked_for,
        agrees_with_folders=one.agrees_with_folders and other.agrees_with_folders,
        tests=(*one.tests, *other.tests),
        notes=(*one.notes, *other.notes),
    )
