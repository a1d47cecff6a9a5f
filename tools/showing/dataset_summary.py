"""What there is to say about a shard directory, in numbers."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.storage.dataset import Dataset
from pipeline.storage.manifest import REJECTED_NAME, Manifest
from tools.checking.tables import Tables, UnusableTableError, check_tables, open_tables
from tools.config import ShardConfig

# What tells a reason from others of its kind: quoted values and numbers.
_PARTICULARS = re.compile(r"'[^']*'|\"[^\"]*\"|\b[\d,.]*\d\b")


@dataclass(frozen=True, kw_only=True)
class Reason:
    """Why sources were rejected: how many, the reason with "..." for what differs among them, and
    the first of them."""

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
        """Raises ``DataError`` where a table is missing or makes no sense."""
        splits = {}
        for name in dataset.manifest.splits:
            try:
                splits[name] = open_tables(dataset.directory, name, dataset.manifest)
            except UnusableTableError as error:
                raise _damaged(dataset, f"{error.file}: {error}") from error
            for finding in check_tables(name, splits[name], dataset.manifest):
                raise _damaged(dataset, finding.line(lambda row: None))
        return cls(dataset=dataset, splits=splits)

    @property
    def manifest(self) -> Manifest:
        return self.dataset.manifest

    @property
    def samples(self) -> int:
        return sum(map(len, self.splits.values()))

    def column(self, name: str) -> NDArray[Any]:
        """A field of SAMPLE_DTYPE, of all splits."""
        return np.concatenate([tables.samples[name] for tables in self.splits.values()])

    @cached_property
    def class_counts(self) -> NDArray[np.int64]:
        """Samples that show each class: int64 (splits, classes)."""
        counts = [split.class_counts for split in self.manifest.splits.values()]
        return np.array(counts, np.int64).reshape(len(counts), len(self.manifest.classes))

    @cached_property
    def targets(self) -> NDArray[np.float32]:
        """float32 (samples, targets), of all splits; multi-label and regression only."""
        found = [tables.targets for tables in self.splits.values()]
        return np.concatenate([targets for targets in found if targets is not None])


def _damaged(dataset: Dataset, what: str) -> DataError:
    return DataError(f"{what}. All that is wrong says: tools/check {dataset.directory}")


def spread_of(values: NDArray[Any]) -> tuple[float, float, float]:
    """Minimum, median, maximum."""
    return float(values.min()), float(np.median(values)), float(values.max())


def byte_unit(sizes: NDArray[Any]) -> tuple[str, int]:
    """The unit for sizes in bytes, and how many bytes it is."""
    return ("bytes", 1) if np.median(sizes) < 2**10 else ("KiB", 2**10)


def made_with(arguments: dict[str, Any]) -> str:
    """The command line options that were not left at their defaults."""
    defaults = {field.name: field.default for field in fields(ShardConfig)}
    words: list[str] = []
    for name, value in arguments.items():
        value = tuple(value) if isinstance(value, list) else value
        if value != defaults.get(name):
            option = "--" + name.replace("_", "-")
            words += _option(option, value, several=defaults.get(name) == ())
    return " ".join(words)


def reasons(directory: Path, *, examples: int = 3) -> list[Reason]:
    """Why sources were rejected, the most frequent reasons first; none if the list can't be
    read."""
    try:
        with (directory / REJECTED_NAME).open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.reader(file) if len(row) == 2][1:]
    except (OSError, ValueError, csv.Error):
        return []
    groups: dict[str, list[tuple[str, str]]] = {}
    for source, reason in rows:
        groups.setdefault(_PARTICULARS.sub("...", reason), []).append((source, reason))
    ordered = sorted(groups.items(), key=lambda group: -len(group[1]))
    return [
        Reason(
            count=len(found),
            text=found[0][1] if len({reason for _, reason in found}) == 1 else text,
            examples=tuple(source for source, _ in found[:examples]),
        )
        for text, found in ordered
    ]


def _option(option: str, value: object, *, several: bool) -> Sequence[str]:
    if isinstance(value, bool):
        return [option if value else option.replace("--", "--no-", 1)]
    if isinstance(value, tuple):
        if several:
            return [word for part in value for word in (option, _word(part))]
        return [option, *map(_word, value)]
    return [option, _word(value)]


def _word(value: object) -> str:
    text = str(value)
    return text if re.fullmatch(r"[\w./:@%+=,-]+", text) else f'"{text}"'
