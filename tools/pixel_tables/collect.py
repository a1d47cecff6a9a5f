"""Pixel tables are read once, in constant memory: pieces of the CSV -> raw pixels in a spool file.

    parent: cut at line ends -> workers: parse, write the pixels -> parent: collect the texts

A row then is a source at a known offset of the spool, and shuffling costs no memory.
"""

from array import array
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError
from tools.download.name_index import Names
from tools.download.parts import is_divided
from tools.download.pixel_table import PixelTable
from tools.download.sources import SPLITS, LabelCodes, Sources
from tools.pixel_tables.chunks import ParsedPiece, Piece, cut, parse_piece
from tools.pixel_tables.spool import SpooledPixels
from tools.workers import Workers


class RowNames(Sequence[str]):
    """Where each source lies, as in "train.csv row 17": the line of the file, counting from 1."""

    def __init__(self, tables: Sequence[str], table: NDArray[np.int8], line: NDArray[np.int64]):
        # Python's arrays give integers at a tenth of NumPy's cost.
        self._tables = tables
        self._table, self._line = array("b", table.tobytes()), array("q", line.tobytes())

    def __len__(self) -> int:
        return len(self._line)

    def __getitem__(self, number: int) -> str:  # type: ignore[override]
        return f"{self._tables[self._table[number]]} row {self._line[number]}"


def gather_pixels(
    parts: Sequence[PixelTable], workers: Workers, spool: Path, advance: Callable[[int], None]
) -> Sources:
    """Write the pixels of all rows of `parts` to the file `spool`, calling `advance` with the bytes
    read; raises ``DataError`` where there are no rows or the parts don't fit together."""
    _check_alike(parts)
    forms = [part.form() for part in parts]
    gathered = _Gathered([kind for _, kind in forms[0].texts])
    spool.touch()
    slot = 0
    for number, (part, form) in enumerate(zip(parts, forms, strict=True)):
        first_line, read_bytes = 1, 0
        pieces = cut(part.table, form, spool, slot)
        for parsed in workers.ordered(parse_piece, pieces, rescue=_refuse):
            gathered.add(part.table.name, number, first_line, parsed)
            first_line += parsed.line_count
            read_bytes += parsed.read_bytes
            advance(parsed.read_bytes)
        slot += read_bytes // (2 * form.values) + 1
    return gathered.sources(parts, spool)


class _Gathered:
    """The rows of all pieces, some 22 bytes and a label's code each; `kinds` as in RowForm."""

    def __init__(self, kinds: Sequence[str]) -> None:
        self._kinds = kinds
        self._columns: list[list[NDArray[Any]]] = [[] for _ in kinds]
        self._codes = [LabelCodes() for _ in kinds]
        self._slots: list[NDArray[np.int64]] = []
        self._lines: list[NDArray[np.int64]] = []
        self._tables: list[NDArray[np.int8]] = []
        self._rejected: list[tuple[str, str]] = []

    def add(self, name: str, table: int, first_line: int, parsed: ParsedPiece) -> None:
        self._slots.append(parsed.slots)
        self._lines.append(parsed.lines + first_line)
        self._tables.append(np.full(len(parsed.lines), table, np.int8))
        self._rejected += [
            (f"{name} row {line + first_line}", reason) for line, reason in parsed.rejected
        ]
        for arrays, codes, column in zip(self._columns, self._codes, parsed.columns, strict=True):
            values = column.values
            if column.texts is not None:
                values = np.array([codes[text] for text in column.texts], np.int32)[values]
            arrays.append(values)

    def sources(self, parts: Sequence[PixelTable], spool: Path) -> Sources:
        first = parts[0]
        if not sum(map(len, self._slots)):
            reason = "; first: {}: {}".format(*self._rejected[0]) if self._rejected else ""
            raise DataError(f"{first.table.name}: no row is an image with a label{reason}.")
        tables = np.concatenate(self._tables)
        names = RowNames([part.table.name for part in parts], tables, np.concatenate(self._lines))
        splits = self._of("split")
        if not splits and is_divided(parts):
            own = [SPLITS.index(part.split or SPLITS[0]) for part in parts]
            splits = [np.array(own, np.int8)[tables]]
        groups = self._of("group")
        sources = Sources(
            images=SpooledPixels(spool, np.concatenate(self._slots), first.shape, first.planar),
            names=names,
            task=first.task,
            labels=np.full(len(tables), -1, np.int32),
            classes=(),
            splits=splits[0] if splits else None,
            groups=groups[0] if groups else None,
            rejected=tuple(self._rejected),
        )
        return self._labeled(sources, first)

    def _of(self, kind: str) -> list[NDArray[Any]]:
        """The columns of this kind."""
        pairs = zip(self._kinds, self._columns, strict=True)
        return [np.concatenate(arrays) for own, arrays in pairs if own == kind]

    def _labeled(self, sources: Sources, part: PixelTable) -> Sources:
        names = tuple(part.table.columns[n] for n in part.labels)
        if part.one_hot:
            return _one_hot(sources, np.stack(self._of("hot"), axis=1), names)
        if part.task == "classification":
            return replace(sources, labels=self._of("label")[0], classes=self._codes[0].texts)
        targets = np.stack(self._of("number") or self._of("hot"), axis=1)
        if part.task == "regression":
            return replace(sources, targets=targets, target_names=names)
        return replace(sources, targets=targets, classes=names, ordered=True)


def _one_hot(sources: Sources, hot: NDArray[np.float32], classes: tuple[str, ...]) -> Sources:
    """With the class of each row; rows that are of none or of several are rejected."""
    counts = hot.sum(axis=1)
    rejected = [
        (sources.names[n], f"{int(counts[n])} of the one-hot columns are 1, not a single one")
        for n in np.flatnonzero(counts != 1).tolist()
    ]
    kept = np.flatnonzero(counts == 1)
    return replace(
        sources,
        images=sources.images.take(kept),
        names=Names(sources.names, kept),
        labels=hot.argmax(axis=1).astype(np.int32)[kept],
        classes=classes,
        ordered=True,
        splits=None if sources.splits is None else sources.splits[kept],
        groups=None if sources.groups is None else sources.groups[kept],
        rejected=(*sources.rejected, *rejected),
    )


def _check_alike(parts: Sequence[PixelTable]) -> None:
    """Raise ``DataError`` unless the parts hold images of one size and labels of one kind."""
    if len({part.shape for part in parts}) > 1:
        shapes = ", ".join(f"{part.table.name} {part.shape}" for part in parts)
        raise DataError(f"The pixel tables hold images of several sizes: {shapes}.")
    kinds = {tuple(kind for _, kind in part.form().texts) for part in parts}
    if len(kinds) > 1:
        listed = "".join(f"\n  {part.describe()}" for part in parts)
        raise DataError(
            f"The pixel tables don't hold the same columns beside their pixels; take one of them "
            f"by --labels:{listed}"
        )


def _refuse(piece: Piece) -> ParsedPiece:
    raise DataError(
        f"{piece.name}: {len(piece.data)} bytes of it killed the process that read them. Out of "
        f"memory? Try fewer --workers."
    )
