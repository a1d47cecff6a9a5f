"""A file that names the classes, in their order."""

import csv
import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError, MisuseError
from tools.download.file_index import FileIndex
from tools.download.sources import Sources
from tools.download.tables import find_delimiter

# Larger files don't name classes.
_MAX_BYTES = 16 * 2**20
_HEADER_WORDS = frozenset(
    {"label", "labels", "id", "class", "class_id", "classid", "name", "index", "code", "wnid"}
)


@dataclass(frozen=True)
class ClassNames:
    """`file` names the classes `names` of the labels `labels`, in their order."""

    file: str
    labels: tuple[str, ...]
    names: tuple[str, ...]


def read_class_names(index: FileIndex, path: str) -> ClassNames:
    """Raises ``MisuseError`` where there is no such file, ``DataError`` where it names nothing."""
    file = index.table_named(path)
    if file is None:
        listed = ", ".join(index.tables[:10]) or "no CSV, JSON or text file"
        raise MisuseError(f"--class-names {path}: there is no such file, but {listed}.")
    if index.size_bytes(file) > _MAX_BYTES:
        raise MisuseError(f"--class-names {path}: it is too large to name classes.")
    with index.open(file) as stream:
        text = stream.read().decode("utf-8-sig", "replace")
    return parse_class_names(file, text)


def parse_class_names(file: str, text: str) -> ClassNames:
    """By the file's extension: JSON, CSV of two columns, or lines of a label and a name."""
    if file.lower().endswith(".json"):
        pairs = _of_json(file, text)
    elif file.lower().endswith((".csv", ".tsv")):
        pairs = _of_csv(file, text)
    else:
        pairs = [_of_line(line) for line in text.splitlines() if line.strip()]
    if not pairs:
        raise DataError(f"{file} names no classes.")
    labels = tuple(label.strip() for label, _ in pairs)
    if len(set(labels)) < len(labels):
        twice = next(label for label in labels if labels.count(label) > 1)
        raise DataError(f"{file} names the class {twice!r} twice.")
    names = [name.strip() for _, name in pairs]
    # Two breeds may be called alike; classes may not.
    return ClassNames(
        file,
        labels,
        tuple(
            name if name and names.count(name) == 1 else f"{name} ({label})" if name else label
            for label, name in zip(labels, names, strict=True)
        ),
    )


def name_classes(sources: Sources, classes: ClassNames) -> Sources:
    """`sources` with these classes in this order; those whose label is not among them are rejected,
    named by row and value. Where the labels are the names themselves, these count.

    Raises ``MisuseError`` where the task has no labels, ``DataError`` where no label is known.
    """
    if sources.task not in ("classification", "multi-label"):
        raise MisuseError(f"--class-names: {sources.task} has no labels.")
    if not set(sources.classes) & set(classes.labels):
        classes = replace(classes, labels=classes.names)
    places = {label: number for number, label in enumerate(classes.labels)}
    codes = np.array([places.get(text, -1) for text in sources.classes], np.int32)
    # Of each source the first label that is unknown, or -1.
    strange = np.full(len(sources), -1, np.int64)
    for code in np.flatnonzero(codes < 0)[::-1].tolist():
        strange[_have(sources, code)] = code
    bad = strange >= 0
    rejected = [
        (
            sources.place(number),
            f"its label {sources.classes[strange[number]]!r} is not in {classes.file}",
        )
        for number in np.flatnonzero(bad).tolist()
    ]
    if bad.all():
        raise DataError(
            f"{classes.file} knows none of the labels, such as {sources.classes[0]!r}: its own are "
            f"{', '.join(map(repr, classes.labels[:3]))}."
        )
    kept = sources.take(np.flatnonzero(~bad)) if rejected else sources
    changed: dict[str, Any] = {"labels": codes[kept.labels]}
    if kept.targets is not None:
        targets = np.zeros((len(kept), len(classes.labels)), np.float32)
        targets[:, codes[codes >= 0]] = kept.targets[:, codes >= 0]
        changed = {"targets": targets}
    return replace(
        kept,
        classes=classes.names,
        ordered=True,
        rejected=(*kept.rejected, *rejected),
        **changed,
    )


def _have(sources: Sources, code: int) -> NDArray[np.bool_]:
    """Which sources have the label."""
    if sources.targets is None:
        return np.asarray(sources.labels == code)
    return np.asarray(sources.targets[:, code] > 0)


def _of_line(line: str) -> tuple[str, str]:
    """ "n01440764 tench, Tinca tinca"."""
    label, _, name = line.strip().partition("\t" if "\t" in line else " ")
    return label.removesuffix(":"), name


def _of_json(file: str, text: str) -> list[tuple[str, str]]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise DataError(f"{file} is no JSON: {error}.") from error
    if isinstance(found, list):
        found = {str(name): name for name in found}
    if not isinstance(found, dict) or not all(_is_plain(name) for name in found.values()):
        raise DataError(f'{file} must be like {{"0": "cat", "1": "dog"}} to name the classes.')
    if found and all(isinstance(name, int) for name in found.values()):
        return [(str(found[name]), name) for name in sorted(found, key=found.__getitem__)]
    return [(label, str(name)) for label, name in found.items()]


def _of_csv(file: str, text: str) -> list[tuple[str, str]]:
    lines = text.splitlines()
    rows = [row for row in csv.reader(lines, delimiter=find_delimiter(lines[:30])) if any(row)]
    wrong = next((row for row in rows if len(row) != 2), None)
    if wrong is not None:
        raise DataError(f"{file} must have two columns, label and name: {', '.join(wrong)}.")
    if rows and {cell.strip().lower() for cell in rows[0]} & _HEADER_WORDS:
        rows = rows[1:]
    return [(label, name) for label, name in rows]


def _is_plain(name: object) -> bool:
    return isinstance(name, str | int)
