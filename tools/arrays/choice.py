"""Choose the parts of one data set among all that are in arrays."""

import shlex
from collections.abc import Sequence
from pathlib import PurePosixPath

from pipeline.errors import DataError, MisuseError
from pipeline.text import plural
from tools.arrays.array_files import file_named
from tools.arrays.label_choice import LabelChoiceError, join_choices
from tools.arrays.parts import ArrayPart
from tools.config import ShardConfig
from tools.download.file_index import FileIndex
from tools.named_places import label_places

_MAX_OPTIONS = 8
_ORDER = ("train", None, "val", "test")


def choose_array_parts(
    parts: Sequence[ArrayPart], index: FileIndex, config: ShardConfig
) -> list[ArrayPart]:
    """The splits of one data set, train first; unlabeled ones only of test and validation.

    Raises ``MisuseError`` with the options if there are several data sets, or two parts are the
    same split of one; ``DataError`` if no images have labels, and the problem of a part.
    """
    chosen = _named(parts, index, config) if config.labels else list(parts)
    labeled = [part for part in chosen if part.labeled]
    if not parts:
        raise DataError(
            "No array has images: none has their shape, type and values. Pass a --src with images."
        )
    if not labeled:
        for part in chosen:
            part.require_usable()
        raise _unlabeled(chosen)
    families = {part.family for part in labeled}
    splits = [part.split for part in labeled]
    if len(families) > 1 or len(set(splits)) < len(splits):
        raise _several(labeled)
    (family,) = families
    kept = [
        part
        for part in chosen
        if part.family == family and (part.labeled or part.split in ("val", "test"))
    ]
    repeated = next((part for part in kept if [p.split for p in kept].count(part.split) > 1), None)
    if repeated is not None:
        raise _several([part for part in kept if part.split == repeated.split])
    kept.sort(key=lambda part: _ORDER.index(part.split))
    if len(kept) > 1 and [part.split for part in kept].count(None) and kept[0].split == "train":
        raise _several(kept)
    questions = [p.problem for p in kept if isinstance(p.problem, LabelChoiceError)]
    if questions:
        raise join_choices(questions)
    for part in kept:
        part.require_usable()
    return kept


def left_out(parts: Sequence[ArrayPart], kept: Sequence[ArrayPart]) -> str:
    """A sentence with the images that are not used, "" if there are none."""
    others = [part for part in parts if part not in kept and part.images]
    if not others:
        return ""
    count = plural(sum(part.images for part in others), "image")
    reason = "" if any(part.labeled for part in others) else " without a label"
    return f"Left out {count}{reason} (first: {others[0].files[0]})."


def _named(parts: Sequence[ArrayPart], index: FileIndex, config: ShardConfig) -> list[ArrayPart]:
    """The data sets that the file of --labels belongs to."""
    files = {path: file_named(index, path) for _, path in label_places(config)}
    families = {part.family for part in parts if {*files.values()} & {*part.files}}
    if None in files.values() or not families:
        raise MisuseError(
            f"--labels {' '.join(files)}: no array of images or of labels is in such a file."
        )
    return [part for part in parts if part.family in families]


def _unlabeled(parts: Sequence[ArrayPart]) -> DataError:
    first = parts[0]
    ids = (
        " Its rows have ids; labels that another table has for them are not read yet."
        if first.ids is not None
        else " Labels are an array of as many integers or texts, beside it or in a file of the "
        "same name but for a word such as labels."
    )
    return DataError(
        f"{first.files[0]} has {plural(first.images, 'image')}, but no labels: no array or column "
        f"has one for each.{ids}"
    )


def _several(parts: Sequence[ArrayPart]) -> MisuseError:
    """The question which of the data sets to use, the largest first, a line for each; which array
    of images if one file has several."""
    families: dict[tuple[object, ...], list[ArrayPart]] = {}
    for part in parts:
        splits = families.setdefault(part.family, [])
        if part.split in [one.split for one in splits]:
            splits = families.setdefault((part.family, part.name, part.rows[:1]), [])
        splits.append(part)
    choices = sorted(families.values(), key=lambda one: -sum(part.images for part in one))
    options = [min(choice, key=lambda one: _ORDER.index(one.split)).option for choice in choices]
    if len(set(options)) < len(options):
        options = [f"--image-column {_array_of(choice[0])}" for choice in choices]
    lines = "".join(
        f"\n  {option}  ({_numbers(choice)})"
        for option, choice in list(zip(options, choices, strict=True))[:_MAX_OPTIONS]
    )
    return MisuseError(f"The images can be read in {len(choices)} ways. Pick one:{lines}")


def _numbers(parts: Sequence[ArrayPart]) -> str:
    """The numbers of images and classes of a data set."""
    images = plural(sum(part.images for part in parts), "image")
    labels = [part.labels for part in parts if part.labels is not None]
    classes = {text for one in labels for text in one.classes}
    return f"{images}, {plural(len(classes), 'class')}" if classes else images


def _array_of(part: ArrayPart) -> str:
    """What --image-column calls the images of a part."""
    _, member, name = part.rows[0].name.rpartition(" ")
    return shlex.quote(name if member else PurePosixPath(name).stem)
