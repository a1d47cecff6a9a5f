"""Groups from the names of image files: ``--group-pattern``, and names that look like frames."""

import re
from dataclasses import replace

import numpy as np

from pipeline.errors import MisuseError
from pipeline.text import plural
from tools.config import ShardConfig
from tools.download.name_index import Names
from tools.download.sources import LabelCodes, Sources

# What precedes the last number of a file's name, and that number.
_NUMBERED = re.compile(r"^(?P<stem>.*?)[-_. ]?(?P<number>\d+)(?:\.\w+)?$")
_FRAME_PATTERN = r"([^/]+?)[-_. ]?\d+\.\w+$"
# Frames: so many images of a stem on average, so many stems of a class, and so large a share of the
# numbers from the first to the last of a stem.
_MIN_IMAGES, _MIN_STEMS, _MIN_SHARE = 5, 2, 0.5
# Names that are looked at.
_MAX_NAMES = 100_000


def group_by_name(sources: Sources, config: ShardConfig) -> Sources:
    """The sources with the groups that ``--group-pattern`` finds in their names; one whose name it
    does not match is alone in its group. Raises ``MisuseError`` for a pattern that has not exactly
    one group or matches no name, and beside ``--group-column``."""
    pattern = config.group_pattern
    if pattern is None:
        return sources
    if config.group_column is not None:
        raise MisuseError("--group-column and --group-pattern exclude each other: give one.")
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise MisuseError(f"--group-pattern {pattern}: {error}.") from error
    if compiled.groups != 1:
        raise MisuseError(
            f"--group-pattern {pattern} has {plural(compiled.groups, 'group')}. Put the part of "
            f"the name that images of a group share in parentheses, and write (?:...) for others."
        )
    codes, found = LabelCodes(), np.full(len(sources), -1, np.int32)
    for number, name in enumerate(sources.names):
        if (match := compiled.search(name)) and match[1]:
            found[number] = codes[match[1]]
    if not codes:
        first = sources.names[0] if len(sources) else "none"
        raise MisuseError(f"--group-pattern {pattern} matches no image's path, such as {first}.")
    alone = found < 0
    found[alone] = len(codes) + np.arange(alone.sum())
    largest = int(np.bincount(found).max())
    note = f"{plural(len(codes), 'group')} by --group-pattern, the largest of {largest:,} images."
    if alone.any():
        first = sources.names[int(np.flatnonzero(alone)[0])]
        note += f" It does not match {plural(int(alone.sum()), 'image')} (first: {first})."
    return replace(sources, groups=found, group_names=codes.texts, notes=(*sources.notes, note))


def frames_note(sources: Sources) -> str:
    """A sentence if names look like frames of videos, bursts or tracks, which a random split would
    divide: few stems with many consecutive numbers, and several stems in a class. "" else."""
    if sources.groups is not None or not isinstance(sources.names, Names):
        return ""
    numbers, classes = dict[str, list[int]](), dict[str, int]()
    looked_at = min(len(sources), _MAX_NAMES)
    for place in range(looked_at):
        folder, _, name = sources.names[place].rpartition("/")
        match = _NUMBERED.match(name)
        if match is None or not match["stem"]:
            continue
        stem = f"{folder}/{match['stem']}"
        numbers.setdefault(stem, []).append(int(match["number"]))
        classes[stem] = int(sources.labels[place])
    images = sum(map(len, numbers.values()))
    if 2 * images < looked_at or images < _MIN_IMAGES * len(numbers):
        return ""
    if len(numbers) < _MIN_STEMS * len(set(classes.values())):
        return ""
    spans = sum(max(some) - min(some) + 1 for some in numbers.values())
    if images < _MIN_SHARE * spans:
        return ""
    longest = max(numbers, key=lambda stem: len(numbers[stem]))
    return (
        f"Names look like frames: {images:,} images have {plural(len(numbers), 'stem')} with "
        f"consecutive numbers, such as {longest.rpartition('/')[2]!r} with "
        f"{len(numbers[longest]):,}. Neighboring frames in train and val make scores too good: "
        f"--group-pattern '{_FRAME_PATTERN}' keeps each stem in one split."
    )
