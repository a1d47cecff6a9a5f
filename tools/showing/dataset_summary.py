"""Figures about a shard directory."""

import csv
import re
import shlex
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.options import flag_of
from pipeline.printable import restored
from pipeline.storage.dataset import Dataset
from pipeline.storage.manifest import Manifest
from pipeline.text import plural
from tools.checking.tables import Tables, UnusableTableError, check_tables, open_tables
from tools.config import ShardConfig

# Quoted values and numbers, in which reasons of one kind differ.
_VALUES = re.compile(r"'[^']*'|\"[^\"]*\"|\b[\d,.]*\d\b")


@dataclass(frozen=True, kw_only=True)
class Reason:
    """Why `count` sources were rejected: the reason, with "..." for values that differ, and the
    first sources."""

    count: int
    text: str
    examples: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class DatasetSummary:
    """The tables of a dataset's splits."""

    dataset: Dataset
    splits: dict[str, Tables]

    @classmethod
    def from_dataset(cls, dataset: Dataset) -> "DatasetSummary":
        """Raises ``DataError`` for a table that is missing or inconsistent."""
        splits = {}
        for name in dataset.manifest.splits:
            try:
                splits[name] = open_tables(dataset.directory, name, dataset.manifest)
            except UnusableTableError as error:
                raise _damaged(dataset, f"{error.file}: {error}") from error
            for finding in check_tables(name, splits[name], dataset.manifest):
                raise _damaged(dataset, finding.format(lambda row: None))
        return cls(dataset=dataset, splits=splits)

    @property
    def manifest(self) -> Manifest:
        return self.dataset.manifest

    @property
    def samples(self) -> int:
        return sum(map(len, self.splits.values()))

    @property
    def contents(self) -> str:
        """The number of samples and, by task, of classes."""
        classes = self.manifest.classes
        suffix = f" of {plural(len(classes), 'class')}" if classes else ""
        return plural(self.samples, "sample") + suffix

    @property
    def labeled(self) -> int:
        """Samples that have a label."""
        return sum(split.labeled for split in self.manifest.splits.values())

    def column(self, name: str) -> NDArray[Any]:
        """A field of SAMPLE_DTYPE, of all splits."""
        return np.concatenate([tables.samples[name] for tables in self.splits.values()])

    @cached_property
    def class_counts(self) -> NDArray[np.int64]:
        """Samples of each class: int64 (splits, classes)."""
        return np.array([split.class_counts for split in self.manifest.splits.values()], np.int64)

    @cached_property
    def targets(self) -> NDArray[np.float32]:
        """float32 (labeled samples, targets), of all splits; multi-label and regression only."""
        labeled = [split.take(np.flatnonzero(split.labeled)) for split in self.splits.values()]
        return np.concatenate([split.targets for split in labeled if split.targets is not None])


def _damaged(dataset: Dataset, error: str) -> DataError:
    return DataError(f"{error}. Run tools/check {dataset.directory} for the full list of errors.")


def byte_unit(sizes: NDArray[Any]) -> tuple[str, int]:
    """The unit for sizes in bytes, and its number of bytes."""
    return ("bytes", 1) if np.median(sizes) < 2**10 else ("KiB", 2**10)


def command_line(arguments: dict[str, Any]) -> str:
    """The options of tools/shard that differ from their defaults."""
    defaults = {field.name: field.default for field in fields(ShardConfig)}
    words: list[str] = []
    for name, value in arguments.items():
        value = tuple(value) if isinstance(value, list) else value
        if value == defaults.get(name):
            continue
        option = flag_of(name)
        if isinstance(value, bool):
            words.append(option if value else option.replace("--", "--no-", 1))
        elif isinstance(value, tuple) and defaults.get(name) == ():
            words += [word for part in value for word in (option, str(part))]
        else:
            words += [option, *map(str, value if isinstance(value, tuple) else [value])]
    return shlex.join(words)


def group_reasons(path: Path, *, examples: int = 3) -> list[Reason]:
    """Reasons of rejection in rejected.csv, the most frequent first; empty if it is unreadable."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [list(map(restored, row)) for row in csv.reader(file) if len(row) == 2][1:]
    except (OSError, ValueError, csv.Error):
        return []
    groups: dict[str, list[list[str]]] = {}
    for row in rows:
        groups.setdefault(_VALUES.sub("...", row[1]), []).append(row)
    return [
        Reason(
            count=len(group),
            text=group[0][1] if len({reason for _, reason in group}) == 1 else text,
            examples=tuple(source for source, _ in group[:examples]),
        )
        for text, group in sorted(groups.items(), key=lambda item: -len(item[1]))
    ]
