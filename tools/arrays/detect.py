"""Find the parts of a download whose images are in arrays: .npy, .npz, HDF5 and parquet.

Arrays are images by their shape, type and values, and labels by their length: images and labels
belong together if their lengths agree, and their names but for words such as "images" and "y".
"""

import shlex
from collections.abc import Sequence
from dataclasses import replace

from pipeline.errors import DataError, MisuseError
from pipeline.text import join_names
from tools.arrays.array_files import Refusal, list_arrays
from tools.arrays.array_names import matches_option, name_words
from tools.arrays.array_pairs import pair_arrays
from tools.arrays.array_parts import array_parts
from tools.arrays.label_evidence import NamedArray
from tools.arrays.parquet_parts import parquet_parts
from tools.arrays.parts import ArrayPart
from tools.arrays.seekable_files import SeekableFiles
from tools.config import ShardConfig
from tools.download.file_index import FileIndex


def find_array_parts(index: FileIndex, config: ShardConfig) -> list[ArrayPart]:
    """All parts whose images are in arrays, a part for each split of each data set, sorted by their
    first file.

    Nothing is raised for the contents of files: a part that can't be used has a `problem`, which
    ``describe`` and ``collect_arrays`` raise. If files look like arrays and none can be read as
    images, the only part has no images and the reason as its `problem`; files that aren't read
    beside others are in the notes.
    """
    files = SeekableFiles(index)
    arrays, refused = list_arrays(files)
    named = [NamedArray(array=a, words=name_words(a.file, a.member)) for a in arrays]
    parts, doubts = array_parts(pair_arrays(arrays, config), named, config)
    more, refused_tables = parquet_parts(files, config)
    parts = sorted([*parts, *more], key=lambda part: part.files[0])
    used = {row.name for part in parts for row in part.rows}
    refused = [*refused, *refused_tables, *_refused_arrays(named, used)]
    if not parts:
        reasons = [*refused, *doubts, *_no_images(named)]
        return [_refused_part(reasons[0])] if reasons else []
    parts = [_with_task(part, config) for part in parts]
    if config.label_column:
        parts = _require_labels(parts, named, config)
    if refused:
        first, others = refused[0], len(refused) - 1
        more_text = f" and {others:,} more" if others else ""
        note = f"Not read: {first.file}{more_text} ({first.reason})."
        parts[0] = replace(parts[0], notes=(*parts[0].notes, note))
    return parts


def _refused_arrays(named: Sequence[NamedArray], used: set[str]) -> list[Refusal]:
    """Arrays that can't be read and are not the images of a part."""
    return [
        Refusal(one.array.file, f"{one.array.member or 'the array'} {one.array.problem}")
        for one in named
        if one.array.problem and not {one.array.file, one.array.name} & used
    ]


def _no_images(named: Sequence[NamedArray]) -> list[Refusal]:
    """The shapes of arrays of which none has images."""
    if not named:
        return []
    shapes = [
        f"{one.option_name} ({one.array.dtype}, {' x '.join(map(str, one.array.shape))})"
        for one in named
    ]
    reason = f"no array has the shape, type and values of images: {join_names(shapes, 6)}"
    return [Refusal(named[0].array.file, reason)]


def _refused_part(refused: Refusal) -> ArrayPart:
    reason = refused.reason
    # Reasons with options end with these.
    end = "" if "\n" in reason or reason.endswith(".") else "."
    return ArrayPart(
        option=f"--labels {shlex.quote(refused.file)}",
        files=(refused.file,),
        split=None,
        images=0,
        labeled=False,
        problem=DataError(f"{refused.file}: {reason}{end}"),
    )


def _with_task(part: ArrayPart, config: ShardConfig) -> ArrayPart:
    """The part with the error if its labels don't fit --task."""
    if part.problem is not None or config.task in ("auto", part.task) or not part.labeled:
        return part
    what = "Masks in arrays aren't read: save them as PNG files."
    if config.task != "segmentation":
        what = f"Its labels are those of {part.task}."
    return replace(part, problem=MisuseError(f"--task {config.task}: {part.files[0]}: {what}"))


def _require_labels(
    parts: Sequence[ArrayPart], named: Sequence[NamedArray], config: ShardConfig
) -> list[ArrayPart]:
    """`parts` with an error if --label-column names nothing that any of them has."""
    if any(part.labeled for part in parts):
        return list(parts)
    column = config.label_column[0]
    names = [one.option_name for one in named if not one.words.is_image]
    exists = any(matches_option(name, column) for name in names)
    reason = (
        "it has another length than the images"
        if exists
        else f"no array or column is called so; there are {join_names(names, 12) or 'no arrays'}"
    )
    error = MisuseError(f"--label-column {column}: {reason}.")
    return [replace(part, problem=part.problem or error) for part in parts]
