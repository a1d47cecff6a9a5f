"""Sentences about what speaks for each reading, for --dry-run and --explain."""

from collections.abc import Iterator, Sequence

from pipeline.text import plural
from tools.readings.dominance import dominates
from tools.readings.families import Family
from tools.readings.reading import Kind, Reading

_KINDS = {
    Kind.TABLE: "a table",
    Kind.MASK_FILES: "mask files",
    Kind.RUN_LENGTHS: "run lengths",
    Kind.FOLDERS: "class folders",
    Kind.PIXELS: "a table of pixels",
    Kind.BOXES: "boxes",
    Kind.FILE_NAMES: "file names",
}


def describe_readings(readings: Sequence[Reading], taken: Reading) -> Iterator[str]:
    """A line for each reading: what it explains, and whether it is taken."""
    for reading in readings:
        parts = [f"{_KINDS[reading.kind]}, {reading.task}"]
        if len(reading.images):
            parts.append(plural(len(reading.images), "image"))
        if reading.classes:
            parts.append(plural(len(reading.classes), "class"))
        parts += [text for is_true, text in _evidence(reading) if is_true]
        parts.append(_verdict(reading, readings, taken))
        yield f"  {reading.option}: {', '.join(parts)}"


def _evidence(reading: Reading) -> list[tuple[bool, str]]:
    return [
        (reading.is_asked_for, "a test table or a submission asks for it"),
        (reading.agrees_with_folders, "equal to the class folders"),
        (reading.maps_to_folders and not reading.agrees_with_folders, "a class folder each"),
        (reading.names_classes, "a row for each class"),
        (reading.likelihood > 1, "called like a label"),
    ]


def _verdict(reading: Reading, readings: Sequence[Reading], taken: Reading) -> str:
    if any(part in taken.parts for part in reading.parts):
        return "taken"
    better = (other for other in readings if other is not reading and dominates(other, reading))
    first = next(better, taken)
    return f"not taken beside {first.option}"


def describe_columns(families: Sequence[Family]) -> Iterator[str]:
    """A line for each column of the tables that name images: what it looks like."""
    for family in families:
        names = ", ".join(named.table.name for named in family.tables)
        images = plural(len(family.images), "sampled row")
        yield f"  {names}: {images} that name one image each"
        for column in family.columns:
            role = "names images" if column.index in family.naming else column.role.value
            different = plural(len(column.values), "different cell")
            yield f"    {column.name!r}: {different}, {role}"
