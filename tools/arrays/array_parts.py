"""From pairs of arrays to the parts of a download: a part a split, of one array or of several
pieces."""

import shlex
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from pipeline.errors import DataError, MisuseError
from pipeline.natural_order import natural_key
from pipeline.text import plural
from tools.arrays.array_files import Refusal
from tools.arrays.array_names import are_chunks, is_class_list
from tools.arrays.image_layouts import label_count
from tools.arrays.image_rows import array_pixels
from tools.arrays.label_evidence import ImageArray, NamedArray
from tools.arrays.parts import ArrayPart
from tools.arrays.row_labels import RowLabels, join_labels, label_text, name_labels
from tools.arrays.stored_array import StoredArray
from tools.config import ShardConfig
from tools.images.pixel_range import (
    PixelRange,
    UnknownRangeError,
    common_range,
    given_range,
    measure_range,
    require_levels,
)


class _Group(NamedTuple):
    """Arrays that make up one part, and the family of the part."""

    pairs: list[ImageArray]
    family: tuple[object, ...]


def array_parts(
    pairs: Sequence[ImageArray], named: Sequence[NamedArray], config: ShardConfig
) -> tuple[list[ArrayPart], list[Refusal]]:
    """The parts that these pairs make up, and arrays that seem to hold measurements; `named` are
    all arrays of the download."""
    found = [_part(group, named, config) for group in _groups(pairs)]
    parts = [part for part in found if isinstance(part, ArrayPart)]
    return parts, [doubt for doubt in found if isinstance(doubt, Refusal)]


def _groups(pairs: Sequence[ImageArray]) -> Iterator[_Group]:
    """Pieces of one split together: equal names but for a count, and images of one size."""
    alike: dict[tuple[object, ...], list[ImageArray]] = defaultdict(list)
    for pair in pairs:
        alike[pair.images.words.rest, pair.layout.shape].append(pair)
    for key, same in alike.items():
        splits: dict[str | None, list[ImageArray]] = defaultdict(list)
        for pair in same:
            splits[pair.images.words.split].append(pair)
        if all(_are_pieces(split) for split in splits.values()):
            for split in splits.values():
                yield _Group(sorted(split, key=lambda p: natural_key(p.images.array.name)), key)
            continue
        for pair in same:
            numbers = pair.images.words.numbers
            own = numbers if len({p.images.words.numbers for p in same}) > 1 else ()
            place = own or pair.images.array.file
            yield _Group([pair], (*key, place))


def _are_pieces(pairs: Sequence[ImageArray]) -> bool:
    """Whether arrays of a split are pieces of one: counted by their names, each with labels of its
    own or all without."""
    if len(pairs) == 1:
        return True
    labels = {pair.labels.array.name if pair.labels else "" for pair in pairs}
    return are_chunks([pair.images.words.numbers for pair in pairs]) and (
        labels == {""} or ("" not in labels and len(labels) == len(pairs))
    )


def _part(group: _Group, named: Sequence[NamedArray], config: ShardConfig) -> ArrayPart | Refusal:
    """One part; a refusal if its values seem to be measurements, and no name says images."""
    pairs, first = group.pairs, group.pairs[0]
    pixel_range, labels, notes = None, None, list[str]()
    problem = next((pair.problem for pair in pairs if pair.problem is not None), None)
    try:
        if problem is None:
            labels = _labels_of(pairs)
            pixel_range = _range_of(pairs, config)
    except UnknownRangeError as error:
        if not (first.images.words.is_image or first.images.array.dtype.kind == "u"):
            return Refusal(first.images.array.name, error.message)
        problem = MisuseError(f"{first.images.array.name}: {error.message}")
    except DataError as error:
        problem = error
    if labels is not None and (classes := _class_list(pairs, named, labels)) is not None:
        labels, source = classes
        notes.append(f"The names of the classes are those of {source}.")
    if first.layout.note:
        notes.append(first.layout.note)
    if first.layout.axis == 0 and _is_cube(first.images.array.shape):
        notes.append(
            f"The samples of {first.images.array.name} are taken along its first axis, and its "
            f"last axis has the same length."
        )
    selecting = first.images if first.labels is None else first.labels
    return ArrayPart(
        option=f"--labels {shlex.quote(selecting.array.file)}",
        files=_files_of(pairs),
        split=first.images.words.split,
        images=sum(pair.count for pair in pairs),
        classes=None if labels is None else labels.class_count,
        labeled=first.labels is not None,
        task="classification" if labels is None else labels.task,
        ids=_ids_of(first.images, named, first.count) if len(pairs) == 1 else None,
        notes=tuple(notes),
        about=_about(pairs, labels),
        family=group.family,
        rows=tuple(
            array_pixels(pair.images.array, pair.layout, _row_name(pair, named)) for pair in pairs
        ),
        labels=labels,
        pixel_range=pixel_range,
        problem=problem or _channel_problem(first, config),
    )


def _is_cube(shape: tuple[int, ...]) -> bool:
    """Whether the samples may as well be along the last axis."""
    return len(shape) == 3 and shape[0] == shape[-1]


def _files_of(pairs: Sequence[ImageArray]) -> tuple[str, ...]:
    """The files of the images, then those of the labels."""
    files = [pair.images.array.file for pair in pairs]
    files += [pair.labels.array.file for pair in pairs if pair.labels is not None]
    return tuple(dict.fromkeys(files))


def _labels_of(pairs: Sequence[ImageArray]) -> RowLabels | None:
    """The labels of all pairs, None if one has none; raises ``DataError``."""
    read = [pair.targets for pair in pairs if pair.targets is not None]
    return join_labels(read) if len(read) == len(pairs) else None


def _range_of(pairs: Sequence[ImageArray], config: ShardConfig) -> PixelRange | None:
    """The range of the pixels. Raises ``UnknownRangeError``, also for rows of floats that are
    fractions as measurements are, not those of pixels of 8 bits."""
    if config.pixel_range is not None:
        return given_range(*config.pixel_range)
    ranges = []
    for pair in pairs:
        values = pair.images.array.sample(pair.layout.axis)
        found = measure_range(values)
        if pair.layout.flat and not pair.images.words.is_certain_image:
            require_levels(values, found)
        ranges.append(found)
    return common_range(ranges)


def _class_list(
    pairs: Sequence[ImageArray], named: Sequence[NamedArray], labels: RowLabels
) -> tuple[RowLabels, str] | None:
    """The labels with the names of an array of texts in the same file, and the array's name."""
    first = pairs[0]
    if labels.task != "classification" or len({p.images.array.file for p in pairs}) > 1:
        return None
    lists = [
        one.array
        for one in named
        if one.array.file == first.images.array.file
        and is_class_list(one.array.member)
        and one.array.dtype.kind in "SU"
        and len(one.array.shape) == 1
        and one.array.shape[0] != first.count
        and not one.array.problem
    ]
    if len(lists) != 1:
        return None
    names = [label_text(text) for block in lists[0].blocks(0) for text in block.tolist()]
    found = name_labels(labels, names)
    return None if found is None else (found, lists[0].name)


def _ids_of(
    images: NamedArray, named: Sequence[NamedArray], count: int
) -> Callable[[], Iterator[str]] | None:
    """The ids of the images, if one array beside them is called so."""
    ids = [
        one.array
        for one in named
        if one.words.is_ids
        and one.words.key == images.words.key
        and label_count(one.array.shape) == count
        and 1 in (len(one.array.shape), *one.array.shape)
        and one.array.dtype.kind in "SUiu"
        and not one.array.problem
    ]
    return partial(_texts_of, ids[0]) if len(ids) == 1 else None


def _texts_of(array: StoredArray) -> Iterator[str]:
    axis = -1 if len(array.shape) == 2 and array.shape[0] == 1 else 0
    for block in array.blocks(axis):
        yield from map(label_text, block.reshape(-1).tolist())


def _row_name(pair: ImageArray, named: Sequence[NamedArray]) -> str:
    """The file, with the name of the array if the file has others of images."""
    array = pair.images.array
    others = [
        one
        for one in named
        if one.array.file == array.file and len(one.array.shape) >= 2 and not one.words.is_label
    ]
    return array.name if len(others) > 1 else array.file


def _channel_problem(pair: ImageArray, config: ShardConfig) -> MisuseError | None:
    if pair.layout.size[2] != 4 or config.alpha == "drop":
        return None
    return MisuseError(
        f"{pair.images.array.name}: its images have 4 channels, and the fourth may be transparency "
        f"or infrared. To keep the first three, pass:\n  --alpha drop"
    )


def _about(pairs: Sequence[ImageArray], labels: RowLabels | None) -> str:
    first = pairs[0]
    array, count = first.images.array, sum(pair.count for pair in pairs)
    shape = " x ".join(map(str, array.shape))
    more = f" and {plural(len(pairs) - 1, 'more array')} like it" if len(pairs) > 1 else ""
    text = f"{array.name}{more}: {plural(count, 'image')} of {first.layout.describe()}, "
    text += f"{array.dtype} of shape {shape}"
    if first.labels is None or labels is None:
        return text + ", without labels"
    classes = "" if labels.class_count is None else f" ({plural(labels.class_count, 'class')})"
    kind = "" if labels.task == "classification" else f"{labels.task} "
    where = first.labels.array
    name = where.member if where.file == array.file else where.name
    return f"{text}, {kind}labels in {name}{classes}"
