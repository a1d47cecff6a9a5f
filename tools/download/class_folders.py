"""Folders that stand for classes, and names of files that do."""

import re
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import MisuseError
from tools.download.collect import FileSources
from tools.download.file_index import FileIndex, folder_of, under
from tools.download.name_patterns import (
    class_of_folder,
    is_class_folder,
    is_container,
    is_mask_name,
    split_word,
)
from tools.download.split_columns import folders_differ, split_of_folder
from tools.download.targets import Labels, Targets

# cat.0.jpg, "Apple (12).png": a word, then a number.
_NUMBERED_WORD = re.compile(r"([^\W\d_][^\d/]*?)[\s._-]*\(?\d+\)?\.\w+")
_FEWEST_OF_A_WORD = 2


@dataclass(frozen=True)
class _Files:
    """What both kinds of parts here have in common: files speak for themselves."""

    name = ""
    grouped = False

    def targets(self, index: FileIndex) -> Targets:
        return Labels()


@dataclass(frozen=True, kw_only=True)
class ClassFolders(_Files):
    """Folders beneath `folder`, one a class; `images` are the numbers of those in them."""

    folder: str
    images: "array[int]"
    split: str | None
    divided = False

    @property
    def option(self) -> str:
        return f"--labels {self.folder or '.'}"

    def describe(self) -> str:
        return f"class folders in {self.folder or '.'}/"

    def collect(self, index: FileIndex, into: FileSources) -> None:
        for number in self.images:
            label = class_of_folder(class_folder(index.images[number]).rpartition("/")[2])
            into.add(number, label, split=self.split)


@dataclass(frozen=True, kw_only=True)
class NamePattern(_Files):
    """Images whose path says the label by the first group of `pattern`. If `divided`, their folders
    say the splits. `found`: nobody asked for it."""

    pattern: str
    divided: bool
    found: bool = False
    split = None

    @property
    def option(self) -> str:
        return f"--label-pattern '{self.pattern}'"

    def describe(self) -> str:
        said = f"; if that is wrong, say {self.option} with another one" if self.found else ""
        splits = ", splits by folder" if self.divided else ""
        return f"labels in file names by {self.pattern!r}{splits}{said}"

    def collect(self, index: FileIndex, into: FileSources) -> None:
        find = re.compile(self.pattern).search
        for number in index.numbers:
            path = index.images[number]
            match = find(path)
            label = match.group(1) if match else None
            if label and label.strip():
                split = split_of_folder(folder_of(path)) if self.divided else None
                into.add(number, label.strip(), split=split)


def class_folder(path: str) -> str:
    """The folder that stands for the class of an image: the nearest that doesn't just hold images
    or repeat the name of the one above it."""
    return _class_folder(folder_of(path))


@lru_cache(maxsize=2**16)
def _class_folder(folder: str) -> str:
    while "/" in folder:
        above, _, name = folder.rpartition("/")
        twice = class_of_folder(above.rpartition("/")[2]) == name
        if not (is_container(name) or twice):
            break
        folder = above
    return folder


def find_class_folders(index: FileIndex, folder: str) -> list[ClassFolders]:
    """Folders beneath `folder` ("" is the root) under which two or more class folders lie."""
    groups: dict[str, array[int]] = {}
    classes: dict[str, set[str]] = {}
    for number in index.numbers:
        parent = class_folder(index.images[number])
        if under(parent, folder) and parent != folder and is_class_folder(parent.split("/")[-1]):
            above = folder_of(parent)
            groups.setdefault(above, array("q")).append(number)
            classes.setdefault(above, set()).add(parent)
    return [
        ClassFolders(folder=above, images=numbers, split=split_word(above))
        for above, numbers in sorted(groups.items())
        if len(classes[above]) > 1
    ]


def class_names(index: FileIndex, trees: Sequence[ClassFolders]) -> frozenset[str]:
    """The classes of all trees."""
    return frozenset(
        class_of_folder(folder.rpartition("/")[2])
        for tree in trees
        for folder in {class_folder(index.images[number]) for number in tree.images}
    )


def holds_folder_of(index: FileIndex, tree: ClassFolders, masks: NDArray[np.int64]) -> bool:
    """Whether a folder of the tree holds nothing but `masks`: then it is no class."""
    is_mask = np.isin(np.frombuffer(tree.images, np.int64), masks)
    others: dict[str, bool] = {}
    for number, mask in zip(tree.images, is_mask.tolist(), strict=True):
        folder = class_folder(index.images[number])
        others[folder] = others.get(folder, False) or not mask
    return not all(others.values())


def common_folder(trees: Sequence[ClassFolders]) -> str:
    """The folder under which all trees lie."""
    first, *others = [tree.folder.split("/") for tree in trees]
    shared = []
    for place, name in enumerate(first):
        if any(other[place : place + 1] != [name] for other in others):
            break
        shared.append(name)
    return "/".join(shared)


def asked_pattern(index: FileIndex, pattern: str) -> NamePattern:
    """Raises ``MisuseError`` where it is no regular expression, has no group or fits no image."""
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise MisuseError(f"--label-pattern {pattern}: {error}.") from error
    if not compiled.groups:
        raise MisuseError(
            f"--label-pattern {pattern} has no group: put the label's part in parentheses."
        )
    if compiled.groups > 1:
        raise MisuseError(
            f"--label-pattern {pattern} has {compiled.groups} groups: write (?:...) for those that "
            f"aren't the label."
        )
    fitting = [path for n in index.numbers if compiled.search(path := index.images[n])]
    if not fitting:
        first = index.images[index.numbers[0]] if index.numbers else "none"
        raise MisuseError(f"--label-pattern {pattern} fits no image's path, such as {first}.")
    return NamePattern(pattern=pattern, divided=folders_differ(fitting))


def find_pattern(index: FileIndex) -> NamePattern | None:
    """A word and a number in all names of the folders where any name is made so, if there are two
    words or more."""
    counts: dict[str, int] = {}
    folders: dict[str, bool] = {}
    for number in index.numbers:
        folder, _, name = index.images[number].rpartition("/")
        match = _NUMBERED_WORD.fullmatch(name)
        fits = match is not None and split_word(name) is None and not is_mask_name(name)
        folders[folder] = fits and folders.get(folder, True)
        if match:
            counts[match.group(1)] = counts.get(match.group(1), 0) + 1
        if len(counts) > 1000:
            return None
    named = [folder for folder, fits in folders.items() if fits]
    if not named or len(counts) < 2 or min(counts.values()) < _FEWEST_OF_A_WORD:
        return None
    # All words must come from the folders that are named so throughout.
    strangers = any(
        _NUMBERED_WORD.fullmatch(index.images[n].rpartition("/")[2])
        for n in index.numbers
        if not folders[folder_of(index.images[n])]
    )
    if strangers:
        return None
    return NamePattern(
        pattern=r"(?:^|/)" + _NUMBERED_WORD.pattern + "$",
        divided=folders_differ([f"{folder}/" for folder in named]),
        found=True,
    )
