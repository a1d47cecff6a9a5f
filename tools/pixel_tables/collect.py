"""Collect the sources of pixel tables: one pass over the CSV, in constant memory.

    main process: split at line ends -> workers: parse, write pixels to a spool file
    -> main process: collect the texts

Each row is then a source at a known offset of the spool file, so shuffling takes no memory.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.storage.manifest import SPLITS
from tools.download.sources import LabelCodes, RowNames, Sources
from tools.pixel_tables.chunks import Chunk, ParsedChunk, Span, parse_chunk, split_into_chunks
from tools.pixel_tables.pixel_table import PixelTable
from tools.pixel_tables.spool import SpooledPixels
from tools.workers import Workers


def collect_pixels(
    parts: Sequence[PixelTable], workers: Workers, spool: Path, advance: Callable[[int], None]
) -> Sources:
    """Write the pixels of all rows of `parts` to the file `spool`; calls `advance` with the number
    of bytes read. Raises ``DataError`` if there are no rows, or parts of different forms."""
    _require_same_form(parts)
    forms = [part.row_format() for part in parts]
    rows = _CollectedRows([kind for _, kind in forms[0].texts])
    spool.touch()
    slot = 0
    for number, (part, form) in enumerate(zip(parts, forms, strict=True)):
        first_line, read_bytes = 1, 0
        chunks = split_into_chunks(part.table, form, spool, slot)
        for parsed in workers.ordered(parse_chunk, chunks, rescue=_raise_killed):
            rows.add(part.table.name, number, first_line, parsed)
            first_line += parsed.line_count
            read_bytes += parsed.read_bytes
            advance(parsed.read_bytes)
        slot += read_bytes // (2 * form.values) + 1
    return rows.sources(parts, spool)


class _CollectedRows:
    """The rows of all chunks, in 22 bytes and a label's code each; `kinds` as in RowFormat."""

    def __init__(self, kinds: Sequence[str]) -> None:
        self._kinds = kinds
        self._columns: list[list[NDArray[Any]]] = [[] for _ in kinds]
        self._codes = [LabelCodes() for _ in kinds]
        self._slots: list[NDArray[np.int64]] = []
        self._lines: list[NDArray[np.int64]] = []
        self._tables: list[NDArray[np.int8]] = []
        self._rejected: list[tuple[str, str]] = []

    def add(self, name: str, table: int, first_line: int, parsed: ParsedChunk) -> None:
        """Add the rows of the chunk that begins at `first_line` of the table."""
        self._slots.append(parsed.slots)
        self._lines.append(parsed.lines + first_line)
        self._tables.append(np.full(len(parsed.lines), table, np.int8))
        self._rejected += [
            (f"{name} row {line + first_line}", reason) for line, reason in parsed.rejected
        ]
        if not parsed.columns:
            for arrays, kind in zip(self._columns, self._kinds, strict=True):
                arrays.append(_missing(kind, len(parsed.lines)))
            return
        for arrays, codes, column in zip(self._columns, self._codes, parsed.columns, strict=True):
            values = column.values
            if column.texts is not None:
                values = np.array([codes[text] for text in column.texts], np.int32)[values]
            arrays.append(values)

    def sources(self, parts: Sequence[PixelTable], spool: Path) -> Sources:
        """All rows as sources; raises ``DataError`` if there are none."""
        first = parts[0]
        if not sum(map(len, self._slots)):
            reason = "; first: {}: {}".format(*self._rejected[0]) if self._rejected else ""
            raise DataError(f"{first.table.name}: no row is an image with a label{reason}.")
        tables = np.concatenate(self._tables)
        splits = self._columns_of("split")
        if not splits and len(parts) > 1:
            split_of_table = [SPLITS.index(part.split or SPLITS[0]) for part in parts]
            splits = [np.array(split_of_table, np.int8)[tables]]
        names = RowNames([part.table.name for part in parts], tables, np.concatenate(self._lines))
        group_codes = [
            codes for kind, codes in zip(self._kinds, self._codes, strict=True) if kind == "group"
        ]
        sources = Sources(
            images=SpooledPixels(
                spool, np.concatenate(self._slots), first.shape, first.planar, first.by_column
            ),
            names=names,
            ids=names,
            task=first.task,
            labeled=_labeled(parts, tables),
            labels=np.full(len(tables), -1, np.int32),
            splits=next(iter(splits), None),
            groups=next(iter(self._columns_of("group")), None),
            group_names=group_codes[0].texts if group_codes else (),
            rejected=tuple(self._rejected),
        )
        return self._with_targets(sources, first)

    def _columns_of(self, kind: str) -> list[NDArray[Any]]:
        """The columns of this kind."""
        pairs = zip(self._kinds, self._columns, strict=True)
        return [np.concatenate(arrays) for column_kind, arrays in pairs if column_kind == kind]

    def _with_targets(self, sources: Sources, part: PixelTable) -> Sources:
        names = tuple(part.table.columns[n] for n in part.labels)
        if part.one_hot:
            return _with_classes(sources, np.stack(self._columns_of("one_hot"), axis=1), names)
        if part.task == "classification":
            (labels,) = self._columns_of("label")
            return replace(sources, labels=labels, classes=self._codes[0].texts)
        kind = "number" if part.task == "regression" else "one_hot"
        targets = np.stack(self._columns_of(kind), axis=1)
        if part.task == "regression":
            return replace(sources, targets=targets, target_names=names)
        return replace(sources, targets=targets, classes=names, ordered=True)


def _missing(kind: str, count: int) -> NDArray[Any]:
    """The column of a table without labels."""
    if kind == "split":
        return np.full(count, SPLITS.index("test"), np.int8)
    if kind in ("label", "group"):
        return np.full(count, -1, np.int32)
    return np.full(count, np.nan, np.float32)


def _labeled(parts: Sequence[PixelTable], tables: NDArray[np.int8]) -> NDArray[np.bool_] | None:
    """Whether each row is of a table that has labels; None if all are."""
    labeled = np.array([bool(part.labels) for part in parts])
    return None if labeled.all() else labeled[tables]


def _with_classes(
    sources: Sources, one_hot: NDArray[np.float32], classes: tuple[str, ...]
) -> Sources:
    """With the class of each row; rejects rows with no class or several."""
    counts = np.where(sources.has_label, one_hot.sum(axis=1), 1)
    rejected = [
        (sources.names[n], f"{int(counts[n])} of the one-hot columns are 1, not exactly one")
        for n in np.flatnonzero(counts != 1).tolist()
    ]
    labels = np.where(sources.has_label, one_hot.argmax(axis=1), -1).astype(np.int32)
    kept = replace(sources, labels=labels).take(np.flatnonzero(counts == 1))
    return replace(kept, classes=classes, ordered=True, rejected=(*sources.rejected, *rejected))


def _require_same_form(parts: Sequence[PixelTable]) -> None:
    """Raise ``DataError`` unless the parts have images of one size and labels of one kind."""
    if len({part.shape for part in parts}) > 1:
        shapes = ", ".join(f"{part.table.name} {part.shape}" for part in parts)
        raise DataError(f"The pixel tables have images of different sizes: {shapes}.")
    kinds = {tuple(kind for _, kind in part.row_format().texts) for part in parts if part.labels}
    if len(kinds) > 1:
        lines = "".join(f"\n  {part.describe()}" for part in parts)
        raise DataError(
            f"The pixel tables don't have the same columns besides their pixels. Pass one of them "
            f"as --labels:{lines}"
        )


def _raise_killed(chunk: Chunk) -> ParsedChunk:
    size_bytes = chunk.lines.length if isinstance(chunk.lines, Span) else len(chunk.lines)
    raise DataError(
        f"{chunk.name}: the process that read {size_bytes} bytes of it was killed, perhaps "
        f"for lack of memory. Try fewer --workers."
    )
