"""Choose the parts of one data set among all that are in arrays."""

from collections.abc import Sequence

from pipeline.errors import DataError, MisuseError
from tools.arrays.array_files import file_named
from tools.arrays.parts import ArrayPart
from tools.config import ShardConfig
from tools.download.file_index import FileIndex
from tools.text import plural

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
        raise DataError("No array has images: none has their shape, type and values.")
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
    files = {path: file_named(index, path) for _, path in config.label_places}
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
    """The question which of the parts to use, the largest first."""
    ranked = sorted(parts, key=lambda part: -part.images)
    numbers: dict[str, str] = {}
    for part in ranked:
        classes = "" if part.classes is None else f", {plural(part.classes, 'class')}"
        numbers.setdefault(part.option, f"{plural(part.images, 'image')}{classes}")
    options = list(numbers.items())[:_MAX_OPTIONS]
    if len(numbers) == 1:
        lines = "".join(
            f"\n  --image-column {part.rows[0].name.rpartition(' ')[2]}" for part in ranked
        )
    else:
        lines = "".join(f"\n  {option}  ({text})" for option, text in options)
    return MisuseError(f"The images can be read in {len(parts)} ways. Pick one:{lines}")
