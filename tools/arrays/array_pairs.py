"""Which arrays are images, and which arrays have their labels: by lengths, names and values."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import click

from pipeline.errors import DataError, MisuseError
from tools.arrays.array_names import NameWords, matches_option, name_words, same_split
from tools.arrays.image_layouts import ImageLayout, image_layouts, label_count
from tools.arrays.row_labels import RowLabels, read_row_labels, say_the_same
from tools.arrays.stored_array import StoredArray
from tools.config import ShardConfig
from tools.download.file_index import folder_of
from tools.text import option_lines, plural

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


def pair_arrays(arrays: Sequence[StoredArray], config: ShardConfig) -> list[ImageArray]:
    """The arrays of images in the order of `arrays`, each with the labels that evidence finds."""
    named = [NamedArray(array=a, words=name_words(a.file, a.member)) for a in arrays]
    found = [pair for one in named if (pair := _pair(one, named, config)) is not None]
    sizes = {pair.layout.shape for pair in found if pair.labels is not None}
    return [kept for pair in found if (kept := _without_labels(pair, sizes, config)) is not None]


def _pair(
    images: NamedArray, named: Sequence[NamedArray], config: ShardConfig
) -> ImageArray | None:
    array = images.array
    if not images.may_be_images(config):
        return None
    layouts = list(
        image_layouts(array.shape, config.pixel_size, planar=config.pixel_layout == "planar")
    )
    if array.problem or not layouts or array.dtype.kind not in "buif":
        return _unusable(images, layouts, named)
    for layout in layouts:
        labels = [one for one in named if one is not images and one.may_be_labels()]
        if (pair := _with_labels(images, layout, labels, config)) is not None:
            return pair
    return ImageArray(images=images, layout=layouts[0], problem=_other_length(images, named))


def _unusable(
    images: NamedArray, layouts: Sequence[ImageLayout], named: Sequence[NamedArray]
) -> ImageArray | None:
    """Images by their name that can't be read, or that are no images by their shape."""
    array = images.array
    if not array.problem or not (images.words.is_image or layouts):
        return None
    layout = layouts[0] if layouts else ImageLayout(axis=0, size=(0, 0, 1))
    return ImageArray(
        images=images, layout=layout, problem=DataError(f"{array.name} {array.problem}.")
    )


def _with_labels(
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


def _usable_labels(
    tier: Sequence[NamedArray], config: ShardConfig
) -> list[tuple[NamedArray, RowLabels | click.ClickException]]:
    """Those of a tier that are called labels, else those whose values may be labels; with what they
    hold, or why it can't be read."""
    called = [one for one in tier if one.words.is_label or config.label_column]
    if called:
        return [(one, _read(one.array, config.task)) for one in called]
    read = [(one, _read(one.array, config.task)) for one in tier if not one.array.problem]
    return [(one, found) for one, found in read if _are_classes(found)]


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
        return read_row_labels(array.name, array.blocks(axis), task)
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
        if option == "--labels":
            names = [one.array.file for one, _ in usable]
        return replace(
            pair,
            labels=usable[0][0],
            problem=MisuseError(
                f"{pair.images.array.name}: {len(usable)} arrays may have the labels. Pick "
                f"one:{option_lines(option, names)}"
            ),
        )
    labels, found = min(usable, key=lambda one: _order_of_choice(one[0].array))
    if isinstance(found, click.ClickException):
        return replace(pair, labels=labels, problem=found)
    return replace(pair, labels=labels, targets=found)


def _order_of_choice(array: StoredArray) -> tuple[bool, int]:
    """Texts before numbers, one label a row before one-hot rows."""
    return array.dtype.kind not in "SU", len(array.shape)


def _other_length(images: NamedArray, named: Sequence[NamedArray]) -> DataError | None:
    """The error if labels of this name have another length."""
    array = images.array
    for one in named:
        count = label_count(one.array.shape)
        if one is images or not one.words.is_label or one.words.key != images.words.key:
            continue
        if count == array.shape[0] and images.words.is_certain_image:
            shape = " x ".join(map(str, array.shape[1:]))
            return DataError(f"{array.name}: values of shape {shape} are no image.")
        if count is not None and count not in array.shape:
            return DataError(
                f"{array.name} has the shape {array.shape}, and {one.array.name} has "
                f"{plural(count, 'label')}: no axis of the images has this length. Is one of them "
                f"incomplete? Download both again."
            )
    return None


def _without_labels(
    pair: ImageArray, sizes: set[tuple[int, ...]], config: ShardConfig
) -> ImageArray | None:
    """A labeled pair as it is. Without labels, the layout that gives images of the labeled size;
    None if neither size nor name nor type tell that these are images."""
    if pair.labels is not None or pair.problem is not None:
        return pair
    array = pair.images.array
    planar = config.pixel_layout == "planar"
    for layout in image_layouts(array.shape, config.pixel_size, planar=planar):
        if layout.shape in sizes:
            return replace(pair, layout=layout)
    is_image = pair.images.words.is_certain_image or array.dtype.kind == "u"
    return pair if is_image and pair.layout.axis == 0 and not pair.layout.flat else None
