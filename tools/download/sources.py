"""The labeled sources of a download, in the one form that all layouts are converted to."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tools.download.label_sets import TargetRows
from tools.download.name_index import Names, id_of
from tools.images.image_source import Images
from tools.images.masks import MaskColors


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Sources, in the order of the download. Only the split "test" may hold some without a label.

    Args:
        names: file of each source, or the row of a pixel table.
        ids: the id of each source as the download writes it; None for the stems of `names`.
        origins: table and row that named each source; None if no table did.
        task: a key of TARGET_COMPONENTS.
        labeled: bool (n,), whether a source has a label, numbers or a mask; None if all have.
            Sources without one are in the split "test".
        labels: int32 (n,), indices into `classes`; -1 for tasks other than classification and for
            sources without a label.
        classes: in order if `ordered`, else the plan sorts them.
        class_labels: the label of each of `classes` as the download writes it; None if equal to
            `classes`. Only with `ordered`.
        targets: sets of labels or float32 (n, classes) of 0 and 1 for multi-label, float32 (n, k)
            of the columns `target_names` for regression; a row of NaN for a source without a label.
        masks: n mask files of a segmentation; `mask_colors` convert their pixels to classes. The
            file of a source without a mask has an empty path and 0 bytes and is never loaded.
        splits: int8 (n,), indices into SPLITS; None if the download has no splits.
        groups: int32 (n,), equal for sources that must stay in one split.
        group_names: the text of each code in `groups` from 0 on. A source whose code is beyond them
            is alone in its group, which has no text.
        label_separator: what separates several labels in a cell; None if no cell has several.
        rejected: (name, reason) of rows that are not sources.
        notes: sentences about what was left out.
    """

    images: Images
    names: Sequence[str]
    ids: Sequence[str] | None = None
    origins: Sequence[str] | None = None
    task: str = "classification"
    labeled: NDArray[np.bool_] | None = None
    labels: NDArray[np.int32]
    classes: tuple[str, ...] = ()
    class_labels: tuple[str, ...] | None = None
    ordered: bool = False
    targets: TargetRows | None = None
    target_names: tuple[str, ...] = ()
    masks: Images | None = None
    mask_colors: MaskColors | None = None
    splits: NDArray[np.int8] | None
    groups: NDArray[np.int32] | None = None
    group_names: Sequence[str] = ()
    label_separator: str | None = None
    rejected: tuple[tuple[str, str], ...]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, numbers: NDArray[np.int64]) -> "Sources":
        """The sources of these numbers, in this order."""
        return replace(
            self,
            images=self.images.take(numbers),
            names=Names(self.names, numbers),
            ids=None if self.ids is None else Names(self.ids, numbers),
            origins=None if self.origins is None else Names(self.origins, numbers),
            labeled=None if self.labeled is None else self.labeled[numbers],
            labels=self.labels[numbers],
            targets=None if self.targets is None else self.targets[numbers],
            masks=None if self.masks is None else self.masks.take(numbers),
            splits=None if self.splits is None else self.splits[numbers],
            groups=None if self.groups is None else self.groups[numbers],
        )

    @property
    def has_label(self) -> NDArray[np.bool_]:
        """bool (n,): `labeled`, all True if that is None."""
        return np.ones(len(self), np.bool_) if self.labeled is None else self.labeled

    def id(self, number: int) -> str:
        """The id of a source as the download writes it, else the stem of its file."""
        return id_of(self.names[number]) if self.ids is None else self.ids[number]

    def group_name(self, number: int) -> str | None:
        """The text of the group of a source; None if it has none."""
        code = -1 if self.groups is None else int(self.groups[number])
        return self.group_names[code] or None if 0 <= code < len(self.group_names) else None

    def origin(self, number: int) -> str:
        """The table row that named a source, else the file itself."""
        return (self.origins or self.names)[number]


class RowNames(Sequence[str]):
    """Names such as "train.csv row 17", from indices into `tables` and lines of the file from 1; a
    line of 0 stands for the file's path in `paths`."""

    def __init__(
        self,
        tables: Sequence[str],
        table: NDArray[np.int8],
        line: NDArray[np.int64],
        paths: Sequence[str] = (),
    ) -> None:
        # Memory views give Python's integers at a tenth of an array's cost.
        self._tables, self._table = tables, memoryview(table.data)
        self._line, self._paths = memoryview(line.data), paths

    def __len__(self) -> int:
        return len(self._line)

    def __getitem__(self, number: int) -> str:  # type: ignore[override]
        if not self._line[number]:
            return self._paths[number]
        return f"{self._tables[self._table[number]]} row {self._line[number]}"


class WrittenIds(Sequence[str]):
    """Ids as a table writes them: for each source the text at `rows` of `texts`, or at -1 the id
    that it has in `sources`."""

    def __init__(
        self, texts: Sequence[str], rows: NDArray[np.int64], sources: "Sources | Sequence[str]"
    ) -> None:
        self._texts, self._rows, self._sources = texts, memoryview(rows.data), sources

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: int) -> str:  # type: ignore[override]
        if (row := self._rows[number]) >= 0:
            return self._texts[row]
        sources = self._sources
        return sources.id(number) if isinstance(sources, Sources) else sources[number]


class LabelCodes(dict[str, int]):
    """Numbers label texts in the order of their first use."""

    def __missing__(self, text: str) -> int:
        self[text] = len(self)
        return self[text]

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts by number."""
        return tuple(self)


def sort_classes(texts: Sequence[str]) -> tuple[str, ...]:
    """By number if all are integers, else by text."""
    if all(_is_integer(text) for text in texts):
        return tuple(sorted(texts, key=lambda text: (int(text), text)))
    return tuple(sorted(texts))


def _is_integer(text: str) -> bool:
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdecimal()
