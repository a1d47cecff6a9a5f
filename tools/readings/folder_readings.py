"""Readings of class folders and of file names."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from pipeline.errors import MisuseError
from pipeline.text import join_names
from tools.config import ShardConfig
from tools.download.file_index import FileIndex, folder_of, plain_path, under
from tools.download.name_index import name_of
from tools.download.name_patterns import split_word
from tools.readings.class_folders import (
    ClassFolders,
    NamePattern,
    common_folder,
    find_class_folders,
    find_label_pattern,
    folder_classes,
)
from tools.readings.reading import Kind, Reading, order_parts, sorted_numbers

# Two trees are splits of one whole if they share this share of the classes of the smaller one.
_MIN_COMMON_CLASSES = 0.5
# Share of the paths in numbered folders that must be different.
_MIN_DIFFERENT = 0.9
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def folder_readings(index: FileIndex, trees: Sequence[ClassFolders]) -> list[Reading]:
    """A reading for each set of trees that are splits of one whole."""
    numbered = _numbered_trees(index, trees)
    taken = {tree.folder for tree in numbered}
    others = [tree for tree in trees if tree.folder not in taken]
    groups = [*([numbered] if numbered else []), *_group_trees(index, others)]
    return [_reading(index, group) for group in groups]


def trees_at(index: FileIndex, labels: str) -> list[ClassFolders]:
    """The class folders in the folder of --labels; raises ``MisuseError``."""
    folder = plain_path(labels)
    if not any(under(index.images[number], folder) for number in index.sources()):
        tables = join_names(index.tables, 10) or "no CSV"
        raise MisuseError(
            f"--labels {labels}: {index.storage.url} has no such file or folder; it has {tables}."
        )
    trees = find_class_folders(index, folder)
    if not trees:
        raise MisuseError(f"--labels {labels}: the folder has no class folders.")
    return trees


def name_readings(index: FileIndex, config: ShardConfig) -> list[Reading]:
    """The reading of labels in file names, if all names of a folder have them."""
    pattern = find_label_pattern(index)
    return [] if pattern is None else [pattern_reading(index, pattern)]


def pattern_reading(index: FileIndex, pattern: NamePattern) -> Reading:
    """The reading of a pattern."""
    search = re.compile(pattern.pattern).search
    images = sorted_numbers(n for n in index.sources() if search(index.images[n]))
    return Reading(
        kind=Kind.FILE_NAMES,
        parts=(pattern,),
        words=("--label-pattern", pattern.pattern),
        task="classification",
        images=images,
    )


def _reading(index: FileIndex, trees: Sequence[ClassFolders]) -> Reading:
    images = sorted_numbers(number for tree in trees for number in tree.images)
    classes = folder_classes(index, trees)
    return Reading(
        kind=Kind.FOLDERS,
        parts=order_parts(trees),
        words=("--labels", common_folder(trees) or "."),
        task="classification",
        images=images,
        classes=classes,
        names_classes=len(classes) == len(images),
        agrees_with_folders=True,
    )


def _numbered_trees(index: FileIndex, trees: Sequence[ClassFolders]) -> list[ClassFolders]:
    """Trees in folders beside each other that are called by numbers, such as those of patients, as
    groups of images; none if there is only one, or if they have files of the same names, which may
    be the same images in other sizes."""
    numbered = [tree for tree in trees if name_of(tree.folder).isdecimal()]
    if len(numbered) < 2 or len({folder_of(tree.folder) for tree in numbered}) > 1:
        return []
    names = [index.images[n].removeprefix(tree.folder) for tree in numbered for n in tree.images]
    if len(set(names)) < _MIN_DIFFERENT * len(names):
        return []
    return [replace(tree, has_groups=True) for tree in numbered]


def _group_trees(index: FileIndex, trees: Sequence[ClassFolders]) -> Iterator[list[ClassFolders]]:
    """Trees whose folders differ in the words for splits alone, then trees of other splits that
    have the same classes."""
    groups: dict[str, list[ClassFolders]] = {}
    for tree in trees:
        groups.setdefault(_without_splits(tree.folder), []).append(tree)
    merged: list[list[ClassFolders]] = []
    for group in groups.values():
        partner = next((other for other in merged if _belong(index, other, group)), None)
        if partner is None:
            merged.append(list(group))
        else:
            partner += group
    for group in merged:
        splits = [tree.split for tree in group]
        if len(set(splits)) == len(splits):
            yield group
        else:
            yield from ([tree] for tree in group)


def _belong(index: FileIndex, one: Sequence[ClassFolders], other: Sequence[ClassFolders]) -> bool:
    splits = [{tree.split for tree in trees} for trees in (one, other)]
    if None in splits[0] | splits[1] or splits[0] & splits[1]:
        return False
    classes = [folder_classes(index, trees) for trees in (one, other)]
    smaller = min(map(len, classes))
    return len(classes[0] & classes[1]) >= _MIN_COMMON_CLASSES * smaller


def _without_splits(folder: str) -> str:
    """The folder with "*" for each word that names a split."""
    return _WORD.sub(lambda match: "*" if split_word(match.group()) else match.group(), folder)
