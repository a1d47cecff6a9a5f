"""Read the CSV tables of a dataset, which an append writes anew."""

import csv

from pipeline.errors import DataError
from pipeline.printable import restored
from pipeline.storage.dataset import Dataset
from pipeline.storage.manifest import DUPLICATES_NAME, REJECTED_NAME
from tools.duplicates.groups import COLUMNS


def read_rejected(dataset: Dataset) -> list[tuple[str, str]]:
    """Name and reason of every source in rejected.csv. Raises ``DataError`` if it is damaged."""
    return [(source, reason) for source, reason in _rows(dataset, REJECTED_NAME, 2)]


def read_duplicates(dataset: Dataset) -> list[list[str]]:
    """The rows of duplicates.csv, whose columns are ``COLUMNS``; [] without one. Raises
    ``DataError`` if it is damaged."""
    if dataset.manifest.table_name(DUPLICATES_NAME) not in dataset.manifest.files:
        return []
    return _rows(dataset, DUPLICATES_NAME, len(COLUMNS))


def read_left_out(dataset: Dataset) -> set[str]:
    """The sources that were left out as copies of others. Raises ``DataError`` as above."""
    rows = (dict(zip(COLUMNS, row, strict=True)) for row in read_duplicates(dataset))
    return {row["source"] for row in rows if not row["split"]}


def _rows(dataset: Dataset, name: str, columns: int) -> list[list[str]]:
    """The cells below the header, as they were before ``defused``."""
    path = dataset.file(name)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))[1:]
        if any(len(row) != columns for row in rows):
            raise ValueError("a row has another number of cells")
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(
            f"{path} can't be read: copy it again, or make the shards again."
        ) from error
    return [list(map(restored, row)) for row in rows]
