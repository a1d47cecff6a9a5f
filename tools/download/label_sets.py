"""Sets of labels, stored as the labels that each source has: a table of 0 and 1 with a column for
each of 20,000 tags would take 80 KB a source."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class LabelSets:
    """Stands for a float32 (n, classes) of 0 and 1, with rows of NaN for sources without a label.

    Args:
        bounds: int64 (n + 1,), the range of each source in `columns`.
        columns: int32, the classes of the sources, in order within each.
        missing: bool (n,), whether a source has no label.
        classes: the number of classes.
    """

    bounds: Integers
    columns: NDArray[np.int32]
    missing: NDArray[np.bool_]
    classes: int

    def __len__(self) -> int:
        return len(self.missing)

    @property
    def shape(self) -> tuple[int, int]:
        """(n, classes)."""
        return len(self), self.classes

    @property
    def rows(self) -> Integers:
        """The source of each of `columns`, int64."""
        return np.repeat(np.arange(len(self)), np.diff(self.bounds))

    def __getitem__(self, numbers: Integers) -> "LabelSets":
        """The sets of these sources, in this order."""
        counts = np.diff(self.bounds)[numbers]
        bounds = np.append(0, np.cumsum(counts))
        places = np.arange(bounds[-1]) + np.repeat(self.bounds[numbers] - bounds[:-1], counts)
        return LabelSets(
            bounds=bounds,
            columns=self.columns[places],
            missing=self.missing[numbers],
            classes=self.classes,
        )

    def dense(self) -> NDArray[np.float32]:
        """The table: float32 (n, classes)."""
        table = np.zeros(self.shape, np.float32)
        table[self.rows, self.columns] = 1
        table[self.missing] = np.nan
        return table

    def tobytes(self) -> bytes:
        """What determines the table, for a hash."""
        return b"".join(part.tobytes() for part in (self.bounds, self.columns, self.missing))


# float32 (n, k), or sets of labels.
TargetRows = NDArray[np.float32] | LabelSets


def make_sets(
    rows: Integers, columns: Integers, missing: NDArray[np.bool_], classes: int
) -> LabelSets:
    """The sets of pairs of a source and a class, in any order and any number of times."""
    pairs = np.unique(rows * classes + columns)
    counts = np.bincount(pairs // max(classes, 1), minlength=len(missing))
    return LabelSets(
        bounds=np.append(0, np.cumsum(counts)),
        columns=(pairs % max(classes, 1)).astype(np.int32),
        missing=missing,
        classes=classes,
    )


def as_sets(targets: TargetRows) -> LabelSets:
    """Sets of labels of float32 (n, classes) of 0 and 1."""
    if isinstance(targets, LabelSets):
        return targets
    rows, columns = np.nonzero(targets > 0)
    return make_sets(rows, columns, np.asarray(np.isnan(targets).any(axis=1)), targets.shape[1])


def as_table(targets: TargetRows) -> NDArray[np.float32]:
    """Targets as float32 (n, k)."""
    return targets.dense() if isinstance(targets, LabelSets) else targets
