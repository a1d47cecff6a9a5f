"""Which arrays are images: by shape, type and name, and by labels that fit them."""

from collections.abc import Sequence
from dataclasses import replace

from pipeline.errors import DataError
from pipeline.text import plural
from tools.arrays.array_names import name_words
from tools.arrays.image_layouts import ImageLayout, image_layouts, label_count
from tools.arrays.label_evidence import ImageArray, NamedArray, find_labels
from tools.arrays.stored_array import StoredArray
from tools.config import ShardConfig


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
        return _unusable(images, layouts)
    for layout in layouts:
        labels = [one for one in named if one is not images and one.may_be_labels()]
        if (pair := find_labels(images, layout, labels, config)) is not None:
            return pair
    problem = _other_length(images, named) or _masks(images, named)
    return ImageArray(images=images, layout=layouts[0], problem=problem)


def _unusable(images: NamedArray, layouts: Sequence[ImageLayout]) -> ImageArray | None:
    """Images by their name that can't be read, or that are no images by their shape."""
    array = images.array
    if not array.problem or not (images.words.is_image or layouts):
        return None
    layout = layouts[0] if layouts else ImageLayout(axis=0, size=(0, 0, 1))
    return ImageArray(
        images=images, layout=layout, problem=DataError(f"{array.name} {array.problem}.")
    )


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


def _masks(images: NamedArray, named: Sequence[NamedArray]) -> DataError | None:
    """The error if an array has a mask for each image."""
    shape = images.array.shape
    for one in named:
        is_mask = one.words.is_mask or one.words.is_label
        fits = len(one.array.shape) > 2 and one.array.shape[0] == shape[0]
        if is_mask and fits and one.words.key == images.words.key:
            return DataError(
                f"{one.array.name} seems to have masks for the images of {images.array.name}. "
                f"Masks in arrays aren't read: save images and masks as PNG files."
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
