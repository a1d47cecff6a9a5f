"""The sources of samples, for messages; checks that each sample has one."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
from numpy.typing import NDArray

from pipeline.storage.manifest import SOURCES_COLUMNS, Manifest, sample_key, sources_name
from pipeline.text import plural
from tools.checking.findings import Finding


class SourceNames:
    """The sources of those splits in `directory` that were opened."""

    def __init__(self, directory: Path, manifest: Manifest) -> None:
        self._directory, self._manifest = directory, manifest
        self._columns = SOURCES_COLUMNS[:2] if manifest.version == 2 else SOURCES_COLUMNS
        self._tables: dict[str, pa.Table | str] = {}

    def open(self, split: str) -> None:
        """Read the sources of `split`."""
        try:
            table = parquet.read_table(self._directory / self._name(split))
            self._tables[split] = table.select(self._columns)
        except (OSError, pa.ArrowException, KeyError) as error:
            self._tables[split] = f"it can't be read ({error})"

    def find(self, split: str, row: int) -> str | None:
        """The source of a row of the split's index; None if it is unknown."""
        table = self._tables.get(split)
        if not isinstance(table, pa.Table) or row >= len(table):
            return None
        return str(table["source"][row].as_py())

    def check(self, split: str, keys: NDArray[np.uint32]) -> Iterator[Finding]:
        """Compare the keys of the sources with `keys`, those of the index."""
        file, table = self._name(split), self._tables.get(split)
        if isinstance(table, str):
            yield Finding(file=file, text=table)
        elif table is not None and len(table) != len(keys):
            text = f"it has {plural(len(table), 'row')} for {plural(len(keys), 'sample')}"
            yield Finding(file=file, text=text)
        elif table is not None:
            for column in table.column_names:
                if column != "group" and table[column].null_count:
                    yield Finding(file=file, text=f"its column {column} has rows without a value")
                    return
            names = zip(table["key"].to_pylist(), map(sample_key, keys.tolist()), strict=True)
            for row, (name, key) in enumerate(names, start=1):
                if name != key:
                    text = f"row {row:,} has the key {name}, the index says {key}"
                    yield Finding(file=file, text=text)
                    return

    def _name(self, split: str) -> str:
        return self._manifest.table_name(sources_name(split))
