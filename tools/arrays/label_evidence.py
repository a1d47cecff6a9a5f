"""Which array has the labels of images: the evidence of lengths, names and values."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import click

from pipeline.errors import DataError
from tools.arrays.array_names import NameWords, is_class_list, matches_option, same_split
from tools.arrays.image_layouts import ImageLayout, image_layouts, label_count
from tools.arrays.label_choice import LabelChoiceError, label_choice
from tools.arrays.label_reading import read_row_labels
from tools.arrays.row_labels import RowLabels, require_clear_marks, say_the_same
from tools.arrays.stored_array import StoredArray
from tools.config import ShardConfig
from tools.download.file_index import folder_of
from tools.download.name_index import suffix_of

# As many different values, all of them, are ids whatever their name.
_MANY_ROWS = 50


@dataclass(frozen=True, kw_only=True)
class NamedArray:
    """An array and the words of its name."""

    array: StoredArray
    words: NameWords

    @property
    def option_name(self) -> str:
        """What --label-column and --image-column call it."""
        return self.array.member or PurePosixPath(self.array.file).stem

    def may_be_images(self, config: ShardConfig) -> bool:
        """Whether its type, shape and name fit images."""
        if config.image_column is not None:
            return matches_option(self.option_name, config.image_column)
        words = self.words
        named_otherwise = words.is_label or words.is_mask or words.is_other
        return not named_otherwise and len(self.array.shape) in (2, 3, 4)

    def may_be_labels(self) -> bool:
        """Whether its type, shape and name fit labels. Fractions need the name: weights and
        measurements are fractions, too."""
        words, kind = self.words, self.array.dtype.kind
        if words.is_image or words.is_mask or words.is_other or self.array.shape == ():
            return False
        if label_count(self.array.shape) is None:
            return False
        several = 1 not in self.array.shape and len(self.array.shape) == 2
        may_be_pixels = several and any(image_layouts(self.array.shape))
        return words.is_label or (kind in "buiSUO" and not may_be_pixels)


@dataclass(frozen=True, kw_only=True)
class ImageArray:
    """Images and their labels, if there are any; `problem` is why they can't be used."""

    images: NamedArray
    layout: ImageLayout
    labels: NamedArray | None = None
    targets: RowLabels | None = None
    problem: click.ClickException | None = None

    @property
    def count(self) -> int:
        """The number of images."""
        return self.images.array.shape[self.layout.axis]


def find_labels(
    images: NamedArray, layout: ImageLayout, labels: Sequence[NamedArray], config: ShardConfig
) -> ImageArray | None:
    """The images with their labels; None if nothing has so many labels."""
    count = images.array.shape[layout.axis]
    fitting = [one for one in labels if label_count(one.array.shape) == count]
    if config.label_column:
        chosen = [one for one in fitting if matches_option(one.option_name, config.label_column[0])]
        tiers: Iterator[list[NamedArray]] = _tiers(images, chosen, any_name=True)
    else:
        tiers = _tiers(images, fitting, any_name=False)
    for tier in tiers:
        if usable := _usable_labels(tier, config):
            return _choose_labels(ImageArray(images=images, layout=layout), usable)
    return None


def _tiers(
    images: NamedArray, labels: Sequence[NamedArray], *, any_name: bool
) -> Iterator[list[NamedArray]]:
    """The arrays that may have the labels of `images`, those with the most evidence first."""
    words, file = images.words, images.array.file
    equal = [one for one in labels if one.words.key == words.key]
    yield [one for one in equal if one.array.file == file]
    yield [one for one in equal if folder_of(one.array.file) == folder_of(file)]
    yield equal
    agreeing = [one for one in labels if same_split(words.split, one.words.split)]
    yield [one for one in agreeing if one.array.file == file]
    called = [one for one in agreeing if one.words.is_label]
    yield [
        one
        for one in called
        if (one.words.own, one.words.numbers) == (words.own, words.numbers)
        and one.words.split == words.split
    ]
    yield [
        one
        for one in agreeing
        if (one.words.is_label or any_name)
        and (one.words.rest <= words.rest or words.rest <= one.words.rest)
    ]
    # Names say nothing: the only array of this length may have the labels.
    yield [one for one in agreeing if folder_of(one.array.file) == folder_of(file)]


def _usable_labels(
    tier: Sequence[NamedArray], config: ShardConfig
) -> list[tuple[NamedArray, RowLabels | click.ClickException]]:
    """Those of a tier that are called labels, else those whose values may be labels; with what they
    hold, or why it can't be read."""
    called = [one for one in tier if one.words.is_label or config.label_column]
    if called:
        read = [(one, _read(one.array, config.task)) for one in called]
        return [
            (one, found)
            for one, found in read
            if not (_lists_classes(one, found) or _has_no_label(found))
        ]
    read = [(one, _read(one.array, config.task)) for one in tier if not one.array.problem]
    return [(one, found) for one, found in read if _are_classes(found)]


def _has_no_label(found: RowLabels | click.ClickException) -> bool:
    return isinstance(found, RowLabels) and found.targets is None and bool(found.missing.all())


def _lists_classes(labels: NamedArray, found: RowLabels | click.ClickException) -> bool:
    """Whether an array called classes or label_names has another value in each row, as a list of
    the classes has that happens to be as long as the images."""
    return (
        is_class_list(labels.array.member)
        and isinstance(found, RowLabels)
        and len(found.classes) == len(found)
    )


def _are_classes(found: RowLabels | click.ClickException) -> bool:
    """Whether the values of an array that isn't called labels are classes, and no ids."""
    if not isinstance(found, RowLabels) or found.task != "classification":
        return False
    return len(found.classes) < len(found) or len(found) < _MANY_ROWS


def _read(array: StoredArray, task: str) -> RowLabels | click.ClickException:
    if array.problem:
        return DataError(f"{array.name} {array.problem}.")
    axis = -1 if len(array.shape) == 2 and array.shape[0] == 1 else 0
    try:
        return require_clear_marks(
            array.name, read_row_labels(array.name, array.blocks(axis), task)
        )
    except click.ClickException as error:
        return error


def _choose_labels(
    pair: ImageArray, usable: Sequence[tuple[NamedArray, RowLabels | click.ClickException]]
) -> ImageArray:
    """The only labels, or of several that say the same those with names."""
    readings = [found for _, found in usable if isinstance(found, RowLabels)]
    if len(usable) > 1 and not (len(readings) == len(usable) and say_the_same(readings)):
        names = [one.option_name for one, _ in usable]
        option = "--label-column" if len(set(names)) == len(names) else "--labels"
        choices = [
            label_choice(
                one.option_name if option == "--label-column" else one.array.file,
                found if isinstance(found, RowLabels) else None,
                pair.count,
            )
            for one, found in usable
        ]
        error = LabelChoiceError(pair.images.array.name, option, choices)
        return replace(pair, labels=usable[0][0], problem=error)
    suffix = suffix_of(pair.images.array.file)
    labels, found = min(usable, key=lambda one: _order_of_choice(one[0].array, suffix))
    if isinstance(found, click.ClickException):
        return replace(pair, labels=labels, problem=found)
    return replace(pair, labels=labels, targets=found)


def _order_of_choice(array: StoredArray, suffix: str) -> tuple[bool, int, bool]:
    """Texts before numbers, one label a row before one-hot rows, a file of the same kind first."""
    return array.dtype.kind not in "SU", len(array.shape), suffix_of(array.file) != suffix
