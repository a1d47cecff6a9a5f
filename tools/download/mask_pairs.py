"""Which image is the mask of which: by a template, or by names and folders that go in pairs."""

import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from posixpath import normpath

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import MisuseError
from tools.download.collect import FileSources
from tools.download.file_index import FileIndex, folder_of
from tools.download.name_patterns import besides_masks, is_mask_name
from tools.download.split_columns import folders_differ, split_of_folder
from tools.download.targets import MaskNumbers, Targets
from tools.download.templates import Template, parse_template
from tools.images.masks import MaskColors

# int64 (n, 2): numbers of image and mask.
Pairs = NDArray[np.int64]

MASK_FIELDS = ("folder", "stem", "name", "suffix")
# So many of the images of a folder must have a mask there for the two to belong together.
_MIN_SHARE = 0.5
# "_mask" of "12_mask", "_L" of CamVid.
_MASK_END = re.compile(r"[\s._-]+(\w*?(mask|label|seg|annotation|truth)\w*|gt|L)$", re.IGNORECASE)
# Masks looked at to find out how their images' names end.
_TRIED = 20


@dataclass(frozen=True, kw_only=True)
class MaskFiles:
    """Images of `pairs`; if `divided`, their folders say the splits. `rule` says for people how
    they were found, `option` how to ask for them."""

    pairs: Pairs
    rule: str
    option: str
    divided: bool
    classes: tuple[str, ...]
    colors: MaskColors
    name = ""
    grouped = False
    split = None

    def describe(self) -> str:
        splits = ", splits by folder" if self.divided else ""
        return f"{len(self.pairs):,} images and their masks by {self.rule}{splits}"

    def targets(self, index: FileIndex) -> Targets:
        return MaskNumbers(self.classes, self.colors, index)

    def collect(self, index: FileIndex, into: FileSources) -> None:
        for image, mask in self.pairs.tolist():
            folder = folder_of(index.images[image])
            into.add(image, mask, split=split_of_folder(folder) if self.divided else None)


def are_divided(index: FileIndex, pairs: Pairs) -> bool:
    """Whether the folders of the images are of several splits."""
    return folders_differ([index.images[n] for n in pairs[:, 0].tolist()])


def pairs_by_template(index: FileIndex, text: str) -> Pairs:
    """Images whose mask is at the path that `text` makes of their own; raises ``MisuseError`` where
    there is none."""
    template = parse_template(text, MASK_FIELDS, option="--mask-template")
    images, masks = array("q"), array("q")
    for number in index.numbers:
        mask = index.at(_mask_path(template, index.images[number]))
        if mask is not None and mask != number:
            images.append(number)
            masks.append(mask)
    if not images:
        first = index.images[index.numbers[0]]
        raise MisuseError(
            f"--mask-template {text} names no mask: of {first} it makes "
            f"{_mask_path(template, first)!r}, which is not there. Its fields are "
            f"{', '.join('{' + field + '}' for field in MASK_FIELDS)}."
        )
    pairs = np.stack([images, masks], axis=1)
    return pairs[~np.isin(pairs[:, 0], pairs[:, 1])]


def find_pairs(index: FileIndex) -> Pairs:
    """Images and masks that lie beside each other as "1_sat.jpg" and "1_mask.png", or in parallel
    folders as "images/1.png" and "masks/1.png"; raises ``MisuseError`` where images of several
    folders have the same masks."""
    files = _by_folder(index, range(len(index.images)))
    own = files if not index.within else _by_folder(index, index.numbers)
    found = []
    for folder, numbers in files.items():
        if folder in own:
            masks = {stem: n for stem, n in _stems(index, numbers) if _MASK_END.search(stem)}
            images = {stem: n for stem, n in _stems(index, own[folder]) if stem not in masks}
            found.append(_matched(images, masks) if masks else [])
        partners = {}
        for partner in _partners(folder, own):
            images, masks = dict(_stems(index, own[partner])), dict(_stems(index, numbers))
            if pairs := _matched(images, masks):
                partners[partner] = pairs
        if len(partners) > 1:
            listed = "".join(f"\n  --images {partner}" for partner in partners)
            raise MisuseError(f"Images of several folders have masks in {folder}. Pick:{listed}")
        found += partners.values()
    pairs = sorted({pair for some in found for pair in some})
    return np.array(pairs, np.int64).reshape(-1, 2)


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


def _partners(folder: str, folders: Iterable[str]) -> list[str]:
    """Folders that may hold the images of the masks in `folder`: they differ in one part, which
    speaks of masks here and not there, and else says the same; or only one is there."""
    parts = folder.split("/")
    alike, beside = [], []
    for place in (n for n, part in enumerate(parts) if is_mask_name(part)):
        said = besides_masks(parts[place])
        for other in folders:
            others = other.split("/")
            same = others[:place] == parts[:place] and others[place + 1 :] == parts[place + 1 :]
            if same and len(others) == len(parts) and not is_mask_name(others[place]):
                beside.append(other)
                if besides_masks(others[place]) == said:
                    alike.append(other)
    return alike or (beside if len(beside) == 1 else [])


def _matched(images: dict[str, int], masks: dict[str, int]) -> list[tuple[int, int]]:
    """Pairs of equal stems, apart from how images and masks end; none if most have no partner."""
    best: list[tuple[int, int]] = []
    for image_end, mask_end in _ends(images, masks):
        pairs = [
            (number, masks[mask])
            for stem, number in images.items()
            if stem.endswith(image_end)
            and (mask := stem[: len(stem) - len(image_end)] + mask_end) in masks
        ]
        best = max(best, pairs, key=len)
    return best if len(best) >= _MIN_SHARE * min(len(images), len(masks)) else []


def _ends(images: dict[str, int], masks: Sequence[str] | dict[str, int]) -> set[tuple[str, str]]:
    """How the stems of images and of their masks may end."""
    ends = {("", "")}
    for mask in list(masks)[:_TRIED]:
        if match := _MASK_END.search(mask):
            base = mask[: match.start()]
            tails = {stem[len(base) :] for stem in images if stem.startswith(base)}
            ends |= {(tail, match.group()) for tail in tails if not tail or not tail[0].isalnum()}
    return ends
