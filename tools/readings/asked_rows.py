"""The rows that a submission must have, and the ids of test samples as the download writes them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.text import join_names, plural
from tools.arrays.parts import ArrayPart
from tools.config import ShardConfig
from tools.download.file_index import FileIndex
from tools.download.image_files import ImageFiles
from tools.download.name_index import Names, PathTable
from tools.download.sources import Sources, WrittenIds
from tools.download.submission_rows import SubmissionRows, read_cells
from tools.pixel_tables.pixel_table import PixelTable
from tools.readings.detect import Detection
from tools.readings.named_tables import NamedTable
from tools.readings.submission import Submission
from tools.readings.submission_match import Match, match_files, match_ids, match_named, match_order
from tools.readings.unlabeled import UnlabeledImages

Integers = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Asked:
    """A sample submission, its cells and the sources that its rows ask for."""

    table: str
    cells: pa.Table
    match: Match


def match_tests(
    detection: Detection,
    index: FileIndex,
    sources: Sources,
    in_test: NDArray[np.bool_],
    config: ShardConfig,
) -> tuple[Sources, SubmissionRows | None]:
    """The sources, with the ids of tests as the sample submission or a table of tests writes them
    and with sentences about it; and the rows of the sample submission, None if they ask for none of
    the sources `in_test`, bool (n,).

    Raises ``DataError`` if the table of --submission can't be read.
    """
    if not in_test.any():
        notes = [
            f"{one.table.name} is not used: no image is in split test."
            for one in detection.submissions
        ]
        return replace(sources, notes=(*sources.notes, *notes)), None
    tests = _Tests(detection, index, sources, in_test)
    sources = tests.with_own_ids()
    asked, notes = [], []
    for submission in detection.submissions:
        try:
            asked.append(_ask(submission, tests))
        except DataError as error:
            if config.submission is not None:
                raise
            notes.append(error.message)
    notes += _chance(asked) if config.submission is None else []
    usable = [one for one in asked if config.submission is not None or not _is_chance(one)]
    first = max(usable, key=lambda one: one.match.count, default=None)
    if first is None or not first.match.count:
        notes += [_unmatched(one) for one in usable]
        return replace(sources, notes=(*sources.notes, *notes)), None
    notes = [*_describe(first, [one for one in usable if one is not first]), *notes]
    rows = SubmissionRows(
        table=first.table,
        id_column=first.match.column,
        cells=first.cells,
        sources=first.match.sources,
    )
    texts = PathTable(text.as_py() for text in rows.cells.column(rows.id_column))
    sources = _with_ids(sources, texts, rows.sources)
    return replace(sources, notes=(*sources.notes, *notes)), rows


class _Tests:
    """The sources of split test, to be found by what tables call them."""

    def __init__(
        self, detection: Detection, index: FileIndex, sources: Sources, in_test: NDArray[np.bool_]
    ) -> None:
        self.index, self.sources = index, sources
        self.numbers = np.flatnonzero(in_test)
        self.unlabeled = np.flatnonzero(in_test & ~sources.has_label)
        self._parts = detection.parts
        self.sources_of: Integers | None = None
        if isinstance(sources.images, ImageFiles) and isinstance(sources.names, Names):
            self.sources_of = np.full(len(index.images), -1, np.int64)
            self.sources_of[sources.names.numbers[self.numbers]] = self.numbers

    @property
    def have_ids(self) -> bool:
        """Whether rows of pixels have ids of their own, so that their order says nothing."""
        return any(
            part.ids is not None
            if isinstance(part, ArrayPart)
            else isinstance(part, PixelTable) and not part.labels and part.id_column is not None
            for part in self._parts
        )

    def with_own_ids(self) -> Sources:
        """The sources with the ids that the tables of tests write."""
        for part in self._parts:
            if isinstance(part, UnlabeledImages) and self.sources_of is not None:
                for named in reversed(part.tests):
                    if not named.is_submission:
                        self.sources = self._with_ids_of(named, self.sources_of)
            elif isinstance(part, PixelTable) and not part.labels and part.id_column is not None:
                self.sources = self._with_ids_in(part, part.id_column)
        return self.sources

    def _with_ids_of(self, named: NamedTable, sources_of: Integers) -> Sources:
        """With the ids of a table of test images, for those without a label."""
        if named.ids is None and len(named.names.columns) > 1:
            return self.sources
        match = match_named(named, self.index, sources_of)
        labeled = np.append(self.sources.has_label, np.False_)[match.sources]
        texts = PathTable(
            row[match.column] if len(row) > match.column else ""
            for row in named.table.written_rows()
        )
        return _with_ids(self.sources, texts, np.where(labeled, -1, match.sources))

    def _with_ids_in(self, part: PixelTable, column: int) -> Sources:
        """With the ids in a column of a pixel table without labels."""
        numbers = {self.sources.names[n]: n for n in self.unlabeled.tolist()}
        rows = [
            (numbers.get(f"{part.table.name} row {line}", -1), cells[column])
            for line, cells in part.table.rows()
            if len(cells) > column
        ]
        texts = PathTable(text for _, text in rows)
        return _with_ids(self.sources, texts, np.array([number for number, _ in rows], np.int64))


def _ask(submission: Submission, tests: _Tests) -> _Asked:
    table = submission.table
    cells = read_cells(table)
    if tests.sources_of is not None:
        match = match_files(submission, tests.index, tests.sources_of)
    else:
        ids = [tests.sources.id(number) for number in tests.numbers.tolist()]
        match = match_ids(cells, tests.numbers, ids)
        if not match.count:
            match = match_ids(cells, tests.numbers, ids, zeros=False)
        if not match.count and not tests.have_ids:
            match = match_order(table, cells, tests.sources, tests.unlabeled)
    return _Asked(table=table.name, cells=cells, match=match)


def _with_ids(sources: Sources, texts: Sequence[str], of_rows: Integers) -> Sources:
    """`sources` with the text of the first row of each, where `of_rows` has the source of each
    text, -1 for none."""
    rows = np.full(len(sources), -1, np.int64)
    asked = np.flatnonzero(of_rows >= 0)[::-1]
    rows[of_rows[asked]] = asked
    return replace(sources, ids=WrittenIds(texts, rows, sources))


def _is_chance(asked: _Asked) -> bool:
    """Whether only few rows match, or few ids that are not in the first column, and by numbers,
    such as those of rows, of labels and of files."""
    match = asked.match
    matched = np.flatnonzero(match.sources >= 0)
    few = 2 * match.count < len(asked.cells) or (
        match.column > 0 and 2 * match.different < match.count
    )
    texts = asked.cells.column(match.column).take(pa.array(matched))
    return bool(len(matched)) and few and all(text.as_py().strip().isdecimal() for text in texts)


def _chance(asked: Sequence[_Asked]) -> Iterator[str]:
    for one in asked:
        if _is_chance(one):
            yield (
                f"{one.match.count:,} of {plural(len(one.cells), 'row')} of {one.table} match a "
                f"test image only by numbers, perhaps by chance: the table is not used. "
                f"--submission {one.table} uses it."
            )


def _describe(first: _Asked, others: Sequence[_Asked]) -> Iterator[str]:
    """Sentences about the sample submission that is used, and about the others."""
    if first.match.note:
        yield first.match.note
    column, count = first.cells.column_names[first.match.column], first.match.count
    yield (
        f"{count:,} of {plural(len(first.cells), 'row')} of {first.table} ask for a test image, by "
        f"column {column!r}: they are stored in this order for a submission."
    )
    if count < len(first.cells):
        yield f"The first ids without a test image: {_first_ids(first)}."
    different = [one for one in others if not one.cells.equals(first.cells)]
    for one in different:
        yield (
            f"{one.table} is not used: {one.match.count:,} of {plural(len(one.cells), 'row')} "
            f"match. --submission {one.table} picks it."
        )
    if not different:
        yield "--submission PATH picks another table."


def _unmatched(asked: _Asked) -> str:
    if not len(asked.cells):
        return f"{asked.table} has no rows."
    return (
        f"None of {plural(len(asked.cells), 'row')} of {asked.table} matches a test image (first "
        f"ids: {_first_ids(asked)}): no rows are stored for a submission. --submission PATH picks "
        f"another table."
    )


def _first_ids(asked: _Asked) -> str:
    """The first ids of rows that ask for no source."""
    rows = np.flatnonzero(asked.match.sources < 0)
    texts = asked.cells.column(asked.match.column)
    names = list(dict.fromkeys(texts[row].as_py() for row in rows[:1000].tolist()))
    return join_names(names[:3], 3, quote=True)
