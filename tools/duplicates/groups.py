"""Groups of images that are the same or nearly so: duplicates.csv, and sentences about them."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.printable import defused, printable
from pipeline.text import plural

COLUMNS = ("group", "match", "split", "label", "source")
# What is the same in a group.
FILE, PIXELS, NEAR = "file", "pixels", "near"


@dataclass(frozen=True)
class Member:
    """An image: its source, its split ("" if it was left out), and its label ("" without one)."""

    source: str
    split: str
    label: str


@dataclass(frozen=True)
class Group:
    """Images of which FILE or PIXELS are equal, or two that are NEAR, with the `distance` of their
    hashes in bits."""

    match: str
    members: tuple[Member, ...]
    distance: int = 0

    @property
    def title(self) -> str:
        """What is the same: "file", "pixels", or "near 3"."""
        return f"{NEAR} {self.distance}" if self.match == NEAR else self.match

    @property
    def is_conflict(self) -> bool:
        """Whether labels differ."""
        return len({member.label for member in self.members if member.label}) > 1

    @property
    def splits(self) -> frozenset[str]:
        """The splits that hold some of the images."""
        return frozenset(member.split for member in self.members if member.split)

    @property
    def left_out(self) -> int:
        """The number of images that were left out."""
        return sum(not member.split for member in self.members)


def write_groups(
    path: Path, groups: Sequence[Group], earlier: Sequence[Sequence[str]] = ()
) -> None:
    """Write the table of duplicates, a row for each image, behind the rows of an `earlier` one."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(defused(map(printable, row)) for row in earlier)
        for number, group in enumerate(groups, start=len({row[0] for row in earlier}) + 1):
            for member in group.members:
                texts = (member.split, member.label, member.source)
                row = (str(number), group.title, *map(printable, texts))
                writer.writerow(defused(row))


def describe_groups(groups: Sequence[Group], where: str, verify: str = "decode") -> Iterator[str]:
    """Sentences about the groups, which are listed `where`; none without groups. `verify` as in
    ``Encoding``."""
    equal = [group for group in groups if group.match != NEAR]
    near = [group for group in groups if group.match == NEAR]
    if equal:
        images = sum(len(group.members) for group in equal)
        files = sum(len(group.members) for group in equal if group.match == FILE)
        of_files = "all" if files == images else f"{files:,}"
        left_out = sum(group.left_out for group in equal)
        copies = f"; {left_out:,} {'copy' if left_out == 1 else 'copies'} left out"
        in_groups = f"{plural(images, 'image')} in {plural(len(equal), 'group')}"
        yield (
            f"{in_groups} are duplicates, {of_files} of them with equal files"
            f"{copies if left_out else ''}: {where}."
        )
        if verify == "header":
            yield "With --verify header only the stored bytes of images were compared."
        yield from _describe_flaws(equal, "the same pixels", "group")
    if near:
        are = "is" if len(near) == 1 else "are"
        yield f"{plural(len(near), 'pair')} of images {are} nearly the same: {where}."
        yield from _describe_flaws(near, "nearly the same pixels", "pair")


def _describe_flaws(groups: Sequence[Group], what: str, noun: str) -> Iterator[str]:
    conflicts = [group for group in groups if group.is_conflict]
    if conflicts:
        members = [member for member in conflicts[0].members if member.label]
        one = members[0]
        other = next(member for member in members if member.label != one.label)
        yield (
            f"Conflict: images with {what} have different labels in "
            f"{plural(len(conflicts), noun)} (first: {printable(one.source)} is "
            f"{one.label!r}, {printable(other.source)} is {other.label!r}). Correct or delete them."
        )
    leaks = [group for group in groups if len(group.splits) > 1]
    if leaks:
        one = next(member for member in leaks[0].members if member.split)
        other = next(m for m in leaks[0].members if m.split not in ("", one.split))
        yield (
            f"Leakage: images with {what} are in several splits in {plural(len(leaks), noun)} "
            f"(first: {printable(one.source)} in {one.split}, {printable(other.source)} in "
            f"{other.split}). Scores on images that were trained on are too high."
        )
