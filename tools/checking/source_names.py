"""What each sample was made of, as the shards remember it."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
from numpy.typing import NDArray

from pipeline.storage.manifest import sample_key, sources_name
from tools.checking.findings import Finding
from tools.text import plural


class SourceNames:
    """The sources of the splits in `directory`, of those that were opened."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._tables: dict[str, pa.Table | str] = {}

    def open(self, split: str) -> None:
        """Take the sources of `split` from its file."""
        try:
            table = parquet.read_table(self._directory / sources_name(split))
            self._tables[split] = table.select(["key", "source"])
        except (OSError, pa.ArrowException, KeyError) as error:
            self._tables[split] = f"it can't be read ({error})"

    def find(self, split: str, row: int) -> str | None:
        """The source of a row of the split's index; None where it can't be told."""
        table = self._tables.get(split)
        if not isinstance(table, pa.Table) or row >= len(table):
            return None
        return str(table["source"][row].as_py())

    def check(self, split: str, keys: NDArray[np.uint32]) -> Iterator[Finding]:
        """Whether there is a source for each of `keys`, in their order."""
        file, table = sources_name(split), self._tables.get(split)
        if isinstance(table, str):
            yield Finding(file=file, text=table)
        elif table is not None and len(table) != len(keys):
            text = f"it has {plural(len(table), 'row')} for {plural(len(keys), 'sample')}"
            yield Finding(file=file, text=text)
        elif table is not None:
            found = table["key"].to_pylist()
            for row, (name, key) in enumerate(zip(found, keys.tolist(), strict=True)):
                if name != sample_key(key):
                    text = f"its row {row + 1:,} is of {name}, the index says {sample_key(key)}"
                    yield Finding(file=file, text=text)
                    return
