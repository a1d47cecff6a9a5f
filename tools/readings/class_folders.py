"""Images whose class is the name of their folder, or a part of their file name."""

import re
from array import array
from collections.abc import Container, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import takewhile

from pipeline.errors import MisuseError
from tools.download.file_index import FileIndex, folder_of, under
from tools.download.name_index import name_of
from tools.download.name_patterns import (
    class_of_folder,
    is_class_folder,
    is_image_folder,
    is_mask_name,
    split_word,
)
from tools.readings.collect import FilePart, FileSources
from tools.readings.split_columns import folders_differ, split_of_folder

# cat.0.jpg, "Apple (12).png": a word, then a number.
_NUMBERED_WORD = re.compile(r"([^\W\d_][^\d/]*?)[\s._-]*\(?\d+\)?\.\w+")
_MIN_IMAGES_OF_A_WORD = 2
_MAX_WORDS = 1000


@dataclass(frozen=True, kw_only=True)
class ClassFolders(FilePart):
    """The class folders under `folder`; `images` are the numbers of the images in them, which are a
    group with `has_groups`."""

    folder: str
    images: "array[int]"

    def describe(self) -> str:
        return f"class folders in {self.folder or '.'}/"

    def collect(self, index: FileIndex, sources: FileSources) -> None:
        for number in self.images:
            folder = class_folder(folder_of(index.images[number]))
            label = class_of_folder(name_of(folder))
            group = self.folder if self.has_groups else ""
            sources.add(number, label, split=self.split, group=group)


@dataclass(frozen=True, kw_only=True)
class NamePattern(FilePart):
    """Images whose path contains the label: the group of `pattern`. With `has_splits` their folders
    are splits. `detected`: the user did not ask for the pattern."""

    pattern: str
    detected: bool = False

    def describe(self) -> str:
        hint = " (detected; --label-pattern overrides it)" if self.detected else ""
        splits = ", splits by folder" if self.has_splits else ""
        return f"labels in file names by {self.pattern!r}{splits}{hint}"

    def collect(self, index: FileIndex, sources: FileSources) -> None:
        search = re.compile(self.pattern).search
        for number in index.sources():
            path = index.images[number]
            match = search(path)
            label = match.group(1) if match else None
            if label and label.strip():
                split = split_of_folder(folder_of(path)) if self.has_splits else None
                sources.add(number, label.strip(), split=split)


@lru_cache(maxsize=2**16)
def class_folder(folder: str) -> str:
    """The class folder of the images in `folder`: the nearest one that is not called images, data
    ... and does not repeat the name of its parent."""
    while "/" in folder:
        above, _, name = folder.rpartition("/")
        repeated = class_of_folder(name_of(above)) == name
        if not (is_image_folder(name) or repeated):
            break
        folder = above
    return folder


def find_class_folders(index: FileIndex, folder: str) -> list[ClassFolders]:
    """The folders under `folder` ("" is the root) that contain two or more class folders."""
    within: dict[str, array[int]] = {}
    for number in index.sources():
        parent = class_folder(folder_of(index.images[number]))
        within.setdefault(parent, array("q")).append(number)
    trains = _called_train({parent: len(numbers) for parent, numbers in within.items()})
    images: dict[str, array[int]] = {}
    classes: dict[str, set[str]] = {}
    for parent, numbers in within.items():
        may_be_class = is_class_folder(name_of(parent)) or parent in trains
        if under(parent, folder) and parent != folder and may_be_class:
            above = folder_of(parent)
            images.setdefault(above, array("q")).extend(numbers)
            classes.setdefault(above, set()).add(parent)
    return [
        ClassFolders(
            option=f"--labels {above or '.'}",
            folder=above,
            images=array("q", sorted(numbers)),
            split=split_word(above),
        )
        for above, numbers in sorted(images.items())
        if len(classes[above]) > 1 and not _are_splits(classes[above])
    ]


def _called_train(counts: Mapping[str, int]) -> frozenset[str]:
    """Of folders and the numbers of their images, those that are called "train" and are a class
    nevertheless, a vehicle: the folders beside them are classes, and have at least as many images
    together."""
    found = set()
    for folder in (f for f in counts if name_of(f).casefold() == "train"):
        beside = [f for f in counts if folder_of(f) == folder_of(folder) and f != folder]
        are_classes = len(beside) > 1 and all(is_class_folder(name_of(f)) for f in beside)
        if are_classes and counts[folder] <= sum(counts[f] for f in beside):
            found.add(folder)
    return frozenset(found)


def _are_splits(folders: Set[str]) -> bool:
    """Whether all folders have a word for a split, and not all the same, as cars_train and
    cars_test, or one says that the others have labels."""
    splits = [split_word(name_of(folder)) for folder in folders]
    return None not in splits and len(set(splits)) > 1


def folder_classes(index: FileIndex, trees: Sequence[ClassFolders]) -> frozenset[str]:
    """The classes of all `trees`."""
    folders = {folder_of(index.images[number]) for tree in trees for number in tree.images}
    return frozenset(class_of_folder(name_of(class_folder(folder))) for folder in folders)


def has_mask_folder(index: FileIndex, tree: ClassFolders, masks: Container[int]) -> bool:
    """Whether a folder of the tree contains only images of `masks`, so that it is not a class."""
    has_images: dict[str, bool] = {}
    for number in tree.images:
        folder = class_folder(folder_of(index.images[number]))
        has_images[folder] = has_images.get(folder, False) or number not in masks
    return not all(has_images.values())


def without_masks(tree: ClassFolders, masks: Container[int]) -> ClassFolders:
    """The tree without the images that are masks of others."""
    return replace(tree, images=array("q", (n for n in tree.images if n not in masks)))


def common_folder(trees: Sequence[ClassFolders]) -> str:
    """The deepest folder that contains all trees."""
    levels = zip(*(tree.folder.split("/") for tree in trees), strict=False)
    return "/".join(names[0] for names in takewhile(lambda names: len(set(names)) == 1, levels))


def parse_label_pattern(index: FileIndex, pattern: str) -> NamePattern:
    """The part of --label-pattern; raises ``MisuseError`` if `pattern` is no regular expression,
    has not exactly one group, or matches no image's path."""
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise MisuseError(f"--label-pattern {pattern}: {error}.") from error
    if not compiled.groups:
        raise MisuseError(
            f"--label-pattern {pattern} has no group. Put the label's part in parentheses."
        )
    if compiled.groups > 1:
        raise MisuseError(
            f"--label-pattern {pattern} has {compiled.groups} groups. Write (?:...) for those that "
            f"are not the label."
        )
    matching = [path for n in index.sources() if compiled.search(path := index.images[n])]
    if not matching:
        first = index.images[index.numbers[0]] if index.numbers else "none"
        raise MisuseError(f"--label-pattern {pattern} matches no image's path, such as {first}.")
    return _name_pattern(pattern, has_splits=folders_differ(matching))


def find_label_pattern(index: FileIndex) -> NamePattern | None:
    """The pattern of a word and a number, if all image names of a folder consist of these, there
    are two words or more, and no other folder uses the pattern for some of its names only."""
    counts: dict[str, int] = {}
    folders: dict[str, bool] = {}
    partly = set()
    for number in index.sources():
        folder, _, name = index.images[number].rpartition("/")
        match = _NUMBERED_WORD.fullmatch(name)
        fits = match is not None and split_word(name) is None and not is_mask_name(name)
        folders[folder] = fits and folders.get(folder, True)
        if match:
            partly.add(folder)
            counts[match.group(1)] = counts.get(match.group(1), 0) + 1
        if len(counts) > _MAX_WORDS:
            return None
    named = [folder for folder, fits in folders.items() if fits]
    if not named or len(counts) < 2 or min(counts.values()) < _MIN_IMAGES_OF_A_WORD:
        return None
    if not partly <= set(named):
        return None
    return _name_pattern(
        r"(?:^|/)" + _NUMBERED_WORD.pattern + "$",
        has_splits=folders_differ([f"{folder}/" for folder in named]),
        detected=True,
    )


def _name_pattern(pattern: str, *, has_splits: bool, detected: bool = False) -> NamePattern:
    option = f"--label-pattern '{pattern}'"
    return NamePattern(option=option, pattern=pattern, has_splits=has_splits, detected=detected)
