"""Folders whose files are copies of other files of the download: a second copy counts once."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile

import numpy as np
from numpy.typing import NDArray

from pipeline.text import join_names, plural
from tools.download.name_index import name_of
from tools.download.name_patterns import is_class_folder

Integers = NDArray[np.int64]

# A folder is a copy if at least this share of its images has a twin in the other folder.
_MIN_SHARE = 0.9
# Images of a pair of folders whose contents are compared; and in all, where several images have the
# same name and size.
_COMPARED, _MAX_COMPARED = 16, 5000
# Pairs of class folders, and images of each, that are searched for the same picture.
_CLASS_PAIRS, _SEARCHED = 500, 4


@dataclass(frozen=True)
class CopiedFolder:
    """`images` of `folder` are copies of those in `original`."""

    folder: str
    original: str
    images: int


@dataclass(frozen=True)
class Copies:
    """`original`: int64 (n,), for each image the number of the one it is a copy of, or its own.
    `in_two_classes`: paths of the same picture in two class folders, a pair for some of them."""

    original: Integers
    folders: tuple[CopiedFolder, ...] = ()
    in_two_classes: tuple[tuple[str, str], ...] = ()

    def describe(self) -> list[str]:
        """Sentences for the user, if there are copies."""
        sentences = self._describe_folders()
        if self.in_two_classes:
            one, other = self.in_two_classes[0]
            sentences.append(
                f"{one} and {other} are the same picture: it has two labels. Delete one of them."
            )
        return sentences

    def _describe_folders(self) -> list[str]:
        if not self.folders:
            return []
        images = plural(sum(folder.images for folder in self.folders), "image")
        copies = join_names(list(dict.fromkeys(f"{one.folder}/" for one in self.folders)), 3)
        first = self.folders[0]
        return [
            f"{images} in {copies} are copies and count once (first: {first.folder}/ has those "
            f"of {first.original or '.'}/)."
        ]


def find_copies(
    paths: Sequence[str],
    hashes: Integers,
    sizes: Integers,
    among: range,
    read: Callable[[int], bytes | None],
) -> Copies:
    """Find the folders that are copies of others: images of the same name, size and contents, of
    those whose numbers are in `among`.

    `hashes`: int64 (n,), equal for equal names, and `sizes` in bytes of all `paths`. `read` gives
    the contents of an image, None if it can't be read; at most 16 images of each pair of folders
    are read. Of two copies the one in a class folder is the original, else the one with fewer
    folders above it.
    """
    twins = _twins(paths, hashes, sizes, among, _Contents(read))
    original, folders = np.arange(len(paths)), list[CopiedFolder]()
    shared, looked_at = list[tuple[int, int]](), 0
    counts: dict[str, int] = defaultdict(int)
    if twins:
        for number in among:
            counts[paths[number].rpartition("/")[0]] += 1
    copied_images: dict[str, int] = defaultdict(int)
    for (_, second), pairs in twins.items():
        copied_images[second] += len(pairs)
    for (first, second), pairs in twins.items():
        if _are_two_classes(first, second):
            looked_at += 1
            if looked_at <= _CLASS_PAIRS and (pair := _equal_pair(pairs, read)):
                shared.append(pair)
            continue
        if copied_images[second] < _MIN_SHARE * counts[second]:
            continue
        if not _same_contents(pairs, read):
            continue
        for kept, copied in pairs:
            original[copied] = original[kept]
        folders.append(CopiedFolder(second, first, len(pairs)))
    names = tuple((paths[one], paths[other]) for one, other in shared)
    return Copies(original, tuple(folders), names)


class _Contents:
    """Compares files of which several have the same name and size, up to a limit."""

    def __init__(self, read: Callable[[int], bytes | None]) -> None:
        self._read, self._left = read, _MAX_COMPARED

    def equal(self, one: int, other: int) -> bool:
        """Whether the files have the same contents, as far as the limit allows to read them."""
        self._left -= 1
        return self._left < 0 or self._read(one) == self._read(other) is not None


def _twins(
    paths: Sequence[str], hashes: Integers, sizes: Integers, among: range, contents: _Contents
) -> dict[tuple[str, str], list[tuple[int, int]]]:
    """(folder, folder of copies) -> pairs of images of the same name and size."""
    span = slice(among.start, among.stop)
    keys = hashes[span] ^ (sizes[span] * 0x9E3779B1)
    _, inverse, counts = np.unique(keys, return_inverse=True, return_counts=True)
    groups: dict[int, list[int]] = defaultdict(list)
    for place in np.flatnonzero(counts[inverse] > 1).tolist():
        if sizes[among[place]]:
            groups[int(inverse[place])].append(among[place])
    twins: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    for group in groups.values():
        group.sort(key=lambda number: _preference(paths[number]))
        for place, other in enumerate(group[1:], 1):
            same = [n for n in group[:place] if name_of(paths[n]) == name_of(paths[other])]
            if len(same) > 1:
                same = [number for number in same if contents.equal(number, other)]
            if same:
                first = max(same, key=lambda number: _common(paths[number], paths[other]))
                folders = (paths[first].rpartition("/")[0], paths[other].rpartition("/")[0])
                twins[folders].append((first, other))
    return twins


def _are_two_classes(first: str, second: str) -> bool:
    """Whether the folders may be classes side by side, whose images must not be merged."""
    names = {name_of(first), name_of(second)}
    beside = first.count("/") == second.count("/")
    return beside and len(names) == 2 and all(map(is_class_folder, names))


def _equal_pair(
    pairs: Sequence[tuple[int, int]], read: Callable[[int], bytes | None]
) -> tuple[int, int] | None:
    """The first of a few pairs that has the same contents twice."""
    for first, second in pairs[:_SEARCHED]:
        if (contents := read(first)) is not None and contents == read(second):
            return first, second
    return None


def _common(one: str, other: str) -> int:
    """The number of folders that the paths share, from the root down."""
    pairs = zip(one.split("/")[:-1], other.split("/")[:-1], strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _preference(path: str) -> tuple[bool, int, str]:
    folder = path.rpartition("/")[0]
    return (not is_class_folder(name_of(folder).strip()), path.count("/"), path)


def _same_contents(pairs: Sequence[tuple[int, int]], read: Callable[[int], bytes | None]) -> bool:
    step = -(-len(pairs) // _COMPARED)
    return all(
        (contents := read(first)) is not None and contents == read(second)
        for first, second in pairs[::step]
    )
