"""Drop the readings that another one makes unnecessary. Pure functions."""

from collections.abc import Sequence

from tools.readings.collect import FilePart
from tools.readings.reading import Kind, Reading, common_count, common_share

# A reading explains another one's images if it has this share of them.
_MIN_COMMON = 0.9
# From this likelihood on, the name of a column speaks of a label.
_LIKELY = 2
# Folders and names that explain a smaller share of another reading's images are parts of them.
_MIN_EXPLAINED = 0.5
_MASKS = (Kind.MASK_FILES, Kind.RUN_LENGTHS)


def drop_dominated(readings: Sequence[Reading]) -> list[Reading]:
    """The readings that no other one dominates; of two that dominate each other, the first."""
    kept = list(readings)
    for reading in reversed(readings):
        if any(dominates(other, reading) for other in kept if other is not reading):
            kept.remove(reading)
    return kept


def dominates(one: Reading, other: Reading) -> bool:
    """Whether `one` explains the images of `other`, and says the same or more."""
    if other.kind is Kind.PIXELS and one.kind is not Kind.PIXELS:
        # The same images as files.
        return True
    if other.names_classes and not one.names_classes and common_count(one, other) == 0:
        # Examples of the classes, besides the images.
        return other.classes <= one.classes or 2 * len(other.images) < len(one.images)
    if common_share(other, one) < _MIN_COMMON and common_share(one, other) < _MIN_COMMON:
        return False
    explains_all = common_share(other, one) >= _MIN_COMMON
    explains_little = len(other.images) < _MIN_EXPLAINED * len(one.images)
    if other.kind in (Kind.FOLDERS, Kind.FILE_NAMES) and explains_all and explains_little:
        return True
    if one.kind in _MASKS and other.kind in _MASKS:
        # Mask files count more than run lengths, also if a submission asks for these.
        return one.kind < other.kind
    if one.is_asked_for != other.is_asked_for:
        return one.is_asked_for
    if other.kind in (Kind.FILE_NAMES, Kind.BOXES) and one.kind < other.kind:
        return True
    if {one.kind, other.kind} == {Kind.TABLE, Kind.FOLDERS}:
        return _table_or_folders(one, other)
    if one.kind in _MASKS and other.kind is Kind.TABLE:
        is_weak = other.has_header and other.likelihood < _LIKELY
        return (explains_all and explains_little) or other.task == "regression" or is_weak
    if one.kind is other.kind is Kind.TABLE and explains_all and _tables(one) != _tables(other):
        says_the_same = bool(other.pairs) and other.pairs <= one.pairs
        return says_the_same or one.likelihood >= other.likelihood + _LIKELY
    return False


def _tables(reading: Reading) -> list[str]:
    return [part.name for part in reading.parts if isinstance(part, FilePart)]


def _table_or_folders(one: Reading, other: Reading) -> bool:
    """Of a table and class folders with the same labels, the one that explains more images counts,
    the table if they are equal. A likely label of another kind counts more than folders."""
    table, folders = (one, other) if one.kind is Kind.TABLE else (other, one)
    both = table.classes & folders.classes
    contradicts = 2 * len(both) > len(table.classes) and not table.maps_to_folders
    if contradicts and not table.agrees_with_folders:
        return False
    numbers = all(name.isdecimal() for name in table.classes)
    if table.maps_to_folders and numbers and not table.agrees_with_folders:
        # Of a number and its name, the name counts, unless the table has more images.
        prefers_table = common_share(folders, table) >= _MIN_COMMON > common_share(table, folders)
    elif table.agrees_with_folders or table.maps_to_folders:
        prefers_table = common_share(folders, table) >= _MIN_COMMON
    elif table.likelihood >= _LIKELY:
        prefers_table = True
    else:
        return False
    return (one is table) is prefers_table
