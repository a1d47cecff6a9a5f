"""Which test sample each row of a sample submission asks for: by files, by ids, or by order."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tools.download.file_index import FileIndex
from tools.download.sources import Sources
from tools.download.tables import Table
from tools.readings.named_tables import NamedTable
from tools.readings.submission import Submission

Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Match:
    """`sources`: int64 (rows,), the source of each row of a table, -1 without one; `column`: index
    of the column of ids; `note`: what was assumed, or ""."""

    sources: Integers
    column: int
    note: str = ""

    @property
    def count(self) -> int:
        """The number of rows that have a source."""
        return int(np.count_nonzero(self.sources >= 0))

    @cached_property
    def different(self) -> int:
        """The number of sources that rows have. A column of labels has few, though each of its
        numbers may name an image."""
        return len(np.unique(self.sources[self.sources >= 0]))


def match_files(submission: Submission, index: FileIndex, sources_of: Integers) -> Match:
    """Match the rows that name image files; `sources_of` has the source of each image of the index,
    -1 for images that are none of split test."""
    table, named = submission.table, submission.named
    match = Match(np.full(0, -1), 0)
    if named is not None:
        match = match_named(named, index, sources_of)
        if match.count and 2 * match.count >= len(match.sources):
            return match
    places = memoryview(sources_of.data)
    hits = [
        len({_only(index.find(cell), places) for cell in table.cells(n)} - {-1})
        for n in range(len(table.columns))
    ]
    column = int(np.argmax(hits))
    other = _match(table, [column], lambda cells: index.find(cells[column]), sources_of)
    best = other if other.different > match.different or named is None else match
    return best if best.count else Match(best.sources, 0)


def match_named(named: NamedTable, index: FileIndex, sources_of: Integers) -> Match:
    """Match the rows of a table by the way in which it names images; `sources_of` as above."""
    columns = named.names.columns
    match = _match(
        named.table, columns, lambda cells: named.names.find_in_row(index, cells), sources_of
    )
    return Match(match.sources, columns[0] if named.ids is None else named.ids)


def _match(
    table: Table,
    columns: Sequence[int],
    find: Callable[[Sequence[str]], list[int]],
    sources_of: Integers,
) -> Match:
    places, width = memoryview(sources_of.data), max(columns) + 1
    rows = (cells for _, cells in table.rows())
    found = (_only(find(cells), places) if len(cells) >= width else -1 for cells in rows)
    return Match(np.fromiter(found, np.int64), columns[0])


def _only(images: Sequence[int], places: memoryview) -> int:
    """The source of the only one of some images that is in split test; -1 without one."""
    sources = [source for image in images if (source := places[image]) >= 0]
    return sources[0] if len(sources) == 1 else -1


def match_ids(
    cells: pa.Table, numbers: Integers, ids: Sequence[str], *, zeros: bool = True
) -> Match:
    """Match the rows that have the id of a source in one of their columns: the source `numbers[n]`
    has `ids[n]`. Ids of several sources match none. Without `zeros` 5 is 00005."""
    import pyarrow.compute as pc

    texts_of = pc.utf8_trim_whitespace if zeros else _without_zeros
    encoded = texts_of(pa.array(iter(ids), pa.string())).dictionary_encode()
    codes = np.asarray(encoded.indices)
    is_unique = np.bincount(codes, minlength=len(encoded.dictionary)) == 1
    # A sentinel for cells that are no id.
    source = np.full(len(encoded.dictionary) + 1, -1, np.int64)
    source[codes] = numbers
    source[:-1][~is_unique] = -1
    best = Match(np.full(len(cells), -1, np.int64), 0)
    for column in range(cells.num_columns):
        texts = texts_of(cells.column(column))
        places = pc.fill_null(pc.index_in(texts, value_set=encoded.dictionary), -1)
        match = Match(source[np.asarray(places)], column)
        best = match if match.different > best.different else best
    return best


def _without_zeros(texts: pa.Array) -> pa.Array:
    """Texts without the zeros before a number, and without white space around them."""
    import pyarrow.compute as pc

    trimmed = pc.utf8_trim_whitespace(texts)
    return pc.replace_substring_regex(trimmed, r"^0+([0-9])", r"\1")


def match_order(table: Table, cells: pa.Table, sources: Sources, unlabeled: Integers) -> Match:
    """Match the rows by their order if a column counts them from 0 or 1, and one file of the
    download has as many rows of the sources `unlabeled`."""
    match = Match(np.full(len(cells), -1, np.int64), 0)
    column = next((n for n in range(cells.num_columns) if _counts(cells.column(n))), None)
    fitting = [
        (file, rows)
        for file, rows in _rows_of_files(sources, unlabeled).items()
        if len(rows) == len(cells)
    ]
    if column is None or len(fitting) != 1:
        return match
    ((file, rows),) = fitting
    note = f"The rows of {table.name} are matched to the rows of {file} by their order."
    return Match(rows, column, note)


def _counts(texts: pa.ChunkedArray) -> bool:
    """Whether the cells are 0, 1, 2 ... or 1, 2, 3 ..."""
    import pyarrow.compute as pc

    try:
        numbers = np.asarray(pc.cast(pc.utf8_trim_whitespace(texts), pa.float64()))
    except pa.ArrowInvalid:
        return False
    return bool(
        len(numbers)
        and numbers[0] in (0, 1)
        and np.array_equal(numbers, np.arange(len(numbers)) + numbers[0])
    )


def _rows_of_files(sources: Sources, numbers: Integers) -> dict[str, Integers]:
    """The sources of the rows of each file in their order; -1 for rejected rows."""
    places: dict[str, list[tuple[int, int]]] = {}
    names = [(sources.names[number], number) for number in numbers.tolist()]
    for name, number in [*names, *((name, -1) for name, _ in sources.rejected)]:
        file, _, line = name.rpartition(" row ")
        if line.isdecimal() and (number >= 0 or file in places):
            places.setdefault(file, []).append((int(line), number))
    return {
        file: np.array([number for _, number in sorted(rows)], np.int64)
        for file, rows in places.items()
    }
