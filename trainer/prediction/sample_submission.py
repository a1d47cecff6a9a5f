"""The rows of the download's sample submission, which tools/shard keeps beside the shards."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.natural_order import natural_key
from pipeline.storage.dataset import SplitIndex
from pipeline.storage.manifest import submission_name
from pipeline.storage.sources import read_source_column, read_submission_table

# Ids that an error names.
_NAMED = 3


@dataclass(frozen=True, kw_only=True)
class SampleSubmission:
    """A sample submission (docs/format.md).

    Attributes:
        table: its name in the download.
        columns: its columns.
        cells: the text of each cell, column by column.
        id_column: number of the column with the ids, from 0.
        samples: for each row the sample that it asks for, a row of the split; None if no sample of
            the split has its id.
    """

    table: str
    columns: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]
    id_column: int
    samples: tuple[int | None, ...]

    @property
    def value_columns(self) -> tuple[int, ...]:
        """Numbers of the columns besides that of the ids."""
        return tuple(n for n in range(len(self.columns)) if n != self.id_column)

    @property
    def missing_ids(self) -> list[str]:
        """The ids that no sample has, in the order of the rows."""
        ids = self.cells[self.id_column]
        return [name for name, sample in zip(ids, self.samples, strict=True) if sample is None]


def read_ids(index: SplitIndex) -> list[str]:
    """The id of each sample of the index, as the download writes it; the files or the rows of the
    download if an id occurs more than once.

    Raises ``DataError`` for shards of format version 2, which have no ids.
    """
    rows = index.rows().tolist()
    texts = read_source_column(index, "id").to_pylist()
    if None in texts:
        raise DataError(
            f"The shards of {index.name} in {index.directory} have no ids, because an earlier "
            f"version wrote them: make them again with tools/shard."
        )
    ids = [texts[row] for row in rows]
    if len(set(ids)) == len(ids):
        return ids
    sources = read_source_column(index, "source").to_pylist()
    return [sources[row] for row in rows]


def order_by_id(ids: Sequence[str]) -> NDArray[np.int64]:
    """The samples sorted by id, int64 (n,), with numbers in ids compared as numbers."""
    keys = list(map(natural_key, ids))
    return np.array(sorted(range(len(ids)), key=keys.__getitem__), np.int64)


def read_sample_submission(index: SplitIndex, split: str) -> SampleSubmission | None:
    """The sample submission of `split`, whose samples are `index`; None if the shards have none.

    Raises ``DataError`` if it is damaged.
    """
    name = submission_name(split)
    if not index.lists(name):
        return None
    path = index.file(name)
    try:
        table = read_submission_table(path)
        facts = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
        keys = table.column(0).to_pylist()
        rows = {int(key): row for row, key in enumerate(index.samples["key"].tolist())}
        return SampleSubmission(
            table=facts["table"],
            columns=tuple(table.column_names[1:]),
            cells=tuple(tuple(column.to_pylist()) for column in table.columns[1:]),
            id_column=int(facts["id_column"]),
            samples=tuple(None if key is None else rows[int(key)] for key in keys),
        )
    except (OSError, pa.ArrowException, KeyError, ValueError, AttributeError) as error:
        raise DataError(
            f"{path} can't be read ({error}): run tools/check, then copy the shards again or make "
            f"new ones."
        ) from error


def require_samples(sample: SampleSubmission, *, keep_missing: bool) -> None:
    """Raise ``DataError`` if rows of the sample submission ask for ids that no sample has, unless
    `keep_missing`."""
    missing = sample.missing_ids
    if missing and not keep_missing:
        names = ", ".join(map(repr, missing[:_NAMED]))
        more = f" and {len(missing) - _NAMED:,} more" if len(missing) > _NAMED else ""
        raise DataError(
            f"{sample.table} asks for {len(missing):,} of {len(sample.samples):,} ids that no "
            f"sample has: {names}{more}. Give --shards with all test images, or --missing keep, "
            f"which leaves these rows as {sample.table} has them."
        )
