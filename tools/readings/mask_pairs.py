"""Pair images with their masks: by a template, or by the names of files and folders."""

import re
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import PurePosixPath
from posixpath import commonpath, normpath

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import MisuseError
from pipeline.text import option_lines
from tools.download.file_index import FileIndex, folder_of
from tools.download.name_index import name_of
from tools.download.name_patterns import is_mask_name, split_word, words_besides_masks
from tools.images.masks import MaskColors
from tools.readings.collect import FilePart, FileSources
from tools.readings.file_name_templates import Template, parse_template
from tools.readings.split_columns import split_of_folder
from tools.readings.targets import MaskTargets, Targets

# int64 (n, 2): numbers of image and mask.
Pairs = NDArray[np.int64]

MASK_FIELDS = ("folder", "stem", "name", "suffix")
# Share of the images of a folder, or of the masks, that must have a partner.
_MIN_SHARE = 0.5
_SEPARATORS = re.compile(r"[\s._-]+")
# "mask" of "12_mask_1", "labelIds" of Cityscapes, "L" of CamVid.
_MASK_WORD = re.compile(
    r"mask|label|seg|annotation|truth|manual|(?:^|[\s._-])(?:gt|L)$", re.IGNORECASE
)
# Masks of instances, and masks to look at, beside those of classes.
_SPECIAL = re.compile(
    r"object|instance|inst|panoptic|colou?r|overlay|preview|visual", re.IGNORECASE
)
# Masks whose images show how the images' names end.
_TRIED_MASKS = 20


@dataclass(frozen=True, kw_only=True)
class MaskFiles(FilePart):
    """Images and masks of `pairs`, sorted by image; an image may have several masks, of an object
    each. With `has_splits` the images' folders are splits. `rule` says for people how the pairs
    were found."""

    pairs: Pairs
    rule: str
    classes: tuple[str, ...]
    colors: MaskColors

    def describe(self) -> str:
        splits = ", splits by folder" if self.has_splits else ""
        images = len(np.unique(self.pairs[:, 0]))
        files = "" if images == len(self.pairs) else f" ({len(self.pairs):,} files, of objects)"
        return f"{images:,} images and their masks{files} by {self.rule}{splits}"

    def targets(self, index: FileIndex) -> Targets:
        return MaskTargets(self.classes, self.colors, index)

    def collect(self, index: FileIndex, sources: FileSources) -> None:
        for image, pairs in groupby(self.pairs.tolist(), key=itemgetter(0)):
            folder = folder_of(index.images[image])
            split = split_of_folder(folder) if self.has_splits else None
            sources.add(image, tuple(mask for _, mask in pairs), split=split)


def pairs_by_template(index: FileIndex, text: str) -> Pairs:
    """Images whose mask is at the path that the template `text` makes of theirs; raises
    ``MisuseError`` if there is none."""
    template = parse_template(text, MASK_FIELDS, option="--mask-template")
    images, masks = array("q"), array("q")
    for number in index.sources():
        mask = index.number_of(_mask_path(template, index.images[number]))
        if mask is not None and mask != number:
            images.append(number)
            masks.append(mask)
    if not images:
        first = index.images[index.numbers[0]]
        raise MisuseError(
            f"--mask-template {text} names no mask: for {first} it gives "
            f"{_mask_path(template, first)!r}, which does not exist. The fields are "
            f"{', '.join('{' + field + '}' for field in MASK_FIELDS)}."
        )
    pairs = np.stack([images, masks], axis=1)
    pairs = pairs[~np.isin(pairs[:, 0], pairs[:, 1])]
    # Masks of another kind may have the same names as the images.
    is_mask = [any(map(is_mask_name, index.images[n].split("/")[:-1])) for n in pairs[:, 0]]
    return pairs if all(is_mask) else pairs[~np.array(is_mask)]


def find_mask_pairs(index: FileIndex, masks: str | None = None) -> dict[str, Pairs]:
    """Pairs in one folder, such as "1_sat.jpg" and "1_mask.png", or in parallel folders, such as
    "images/1.png" and "masks/1.png".

    The name of the mask folder -> its pairs, under one name unless images have masks in several
    folders; of these, folders of instances or colors are left out beside one of classes. `masks`:
    the only name of mask folders to use. Raises ``MisuseError`` if the images of several folders
    have masks in the same folder.
    """
    kinds: dict[str, set[tuple[int, int]]] = {}
    for folder, pairs in _pairs_by_folder(index):
        name = _kind_of(folder)
        if pairs and (masks is None or masks in (name, folder, name_of(folder))):
            kinds.setdefault(name, set()).update(pairs)
    if _compete(kinds):
        plain = {name: pairs for name, pairs in kinds.items() if not _SPECIAL.search(name)}
        kinds = plain or kinds
    if not _compete(kinds):
        kinds = {"": {pair for pairs in kinds.values() for pair in pairs}} if kinds else {}
    return {name: np.array(sorted(pairs), np.int64).reshape(-1, 2) for name, pairs in kinds.items()}


def _compete(kinds: dict[str, set[tuple[int, int]]]) -> bool:
    """Whether an image has masks of several kinds."""
    images = [number for pairs in kinds.values() for number in {image for image, _ in pairs}]
    return len(set(images)) < len(images)


def _kind_of(folder: str) -> str:
    """The part of the path that speaks of masks, without words for splits."""
    part = next((part for part in reversed(folder.split("/")) if is_mask_name(part)), "")
    return "".join(word for word in re.split(r"([\s._-])", part) if split_word(word) is None)


def _pairs_by_folder(index: FileIndex) -> Iterator[tuple[str, list[tuple[int, int]]]]:
    """Each folder and the pairs of the masks in it."""
    files = _by_folder(index, range(len(index.images)))
    # What all folders have in common says nothing.
    shared = commonpath(files) if files else ""
    above = len(shared.split("/")) if shared else 0
    sources = files if not index.within else _by_folder(index, index.sources())
    for folder, numbers in files.items():
        if folder in sources and not any(map(is_mask_name, folder.split("/")[above:])):
            masks = {stem: n for stem, n in _stems(index, numbers) if _mask_ends(stem)}
            images = {stem: n for stem, n in _stems(index, sources[folder]) if stem not in masks}
            yield folder, _match_stems(images, masks) if masks else []
        partners = {}
        for partner in _image_folders(folder, sources):
            images, masks = dict(_stems(index, sources[partner])), dict(_stems(index, numbers))
            if matches := _match_stems(images, masks) or _objects_of(images, masks):
                partners[partner] = matches
        if len(partners) > 1:
            raise MisuseError(
                f"The images of several folders have masks in {folder}. Pick one:"
                f"{option_lines('--images', partners)}"
            )
        for matches in partners.values():
            yield folder, matches


def _mask_path(template: Template, path: str) -> str:
    folder, _, name = path.rpartition("/")
    suffix = PurePosixPath(name).suffix
    filled = template.fill((folder, name.removesuffix(suffix), name, suffix.removeprefix(".")))
    return normpath(filled.lstrip("/"))


def _by_folder(index: FileIndex, numbers: Iterable[int]) -> "dict[str, array[int]]":
    files: dict[str, array[int]] = {}
    for number in numbers:
        files.setdefault(folder_of(index.images[number]), array("q")).append(number)
    return files


def _stems(index: FileIndex, numbers: Iterable[int]) -> Iterator[tuple[str, int]]:
    for number in numbers:
        path = index.images[number]
        yield path[path.rfind("/") + 1 : path.rfind(".")], number


def _image_folders(mask_folder: str, folders: Iterable[str]) -> list[str]:
    """Folders that may have the images of the masks in `mask_folder`: their paths differ in one
    part, whose words for masks the other lacks. The other words agree, unless there is only one
    such folder."""
    parts = mask_folder.split("/")
    parallel, similar = [], []
    # "annotations/trimaps" beside "images".
    for level in range(len(parts) - 1):
        if all(map(is_mask_name, parts[level:])):
            beside = (f for f in folders if folder_of(f) == "/".join(parts[:level]))
            nested = [folder for folder in beside if not is_mask_name(name_of(folder))]
            if len(nested) == 1:
                return nested
    for level in (n for n, part in enumerate(parts) if is_mask_name(part)):
        for folder in folders:
            other = folder.split("/")
            name = other[level] if level < len(other) else ""
            same = [*parts[:level], name, *parts[level + 1 :]] == other
            if same and not is_mask_name(name):
                parallel.append(folder)
                if words_besides_masks(name) == words_besides_masks(parts[level]):
                    similar.append(folder)
    return similar or (parallel if len(parallel) == 1 else [])


def _match_stems(images: dict[str, int], masks: dict[str, int]) -> list[tuple[int, int]]:
    """Pairs whose stems are equal except for their endings; none if most have no partner."""
    pairs = {
        (image_end, mask_end): [
            (number, masks[mask])
            for stem, number in images.items()
            if stem.endswith(image_end)
            and (mask := stem[: len(stem) - len(image_end)] + mask_end) in masks
        ]
        for image_end, mask_end in sorted(_ends(images, masks))
    }
    best = max(pairs, key=lambda ends: len(pairs[ends]))
    # "1_mask.png" and "1_mask_1.png": an object each.
    numbered = re.compile(re.escape(best[1]) + r"[\s._-]?\d+")
    further = [
        pair
        for (image_end, mask_end), found in pairs.items()
        if image_end == best[0] and best[1] and numbered.fullmatch(mask_end)
        for pair in found
    ]
    partners = len(pairs[best]) + len(further)
    is_enough = partners >= _MIN_SHARE * min(len(images), len(masks))
    return [*pairs[best], *further] if is_enough else []


def _objects_of(images: dict[str, int], masks: dict[str, int]) -> list[tuple[int, int]]:
    """All masks for the only image of its folder, such as a mask of each nucleus."""
    return [(next(iter(images.values())), mask) for mask in masks.values() if len(images) == 1]


def _ends(images: dict[str, int], masks: dict[str, int]) -> set[tuple[str, str]]:
    """Possible endings of the stems of images and of their masks."""
    ends = {("", "")}
    for mask in list(masks)[:_TRIED_MASKS]:
        for mask_end in _mask_ends(mask):
            base = mask.removesuffix(mask_end)
            tails = {stem[len(base) :] for stem in images if stem.startswith(base)}
            ends |= {(tail, mask_end) for tail in tails if not tail or not tail[0].isalnum()}
    return ends


def _mask_ends(stem: str) -> list[str]:
    """The ends of a stem that begin with a separator and speak of masks."""
    starts = [match.start() for match in _SEPARATORS.finditer(stem)]
    return [stem[start:] for start in starts if start and _MASK_WORD.search(stem[start:])]
