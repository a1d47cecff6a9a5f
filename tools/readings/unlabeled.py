"""Images of a test or validation split that have no labels."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.storage.manifest import SPLITS
from tools.download.file_index import FileIndex, folder_of
from tools.download.name_patterns import is_mask_name
from tools.readings.collect import FilePart, FileSources
from tools.readings.named_tables import NamedTable
from tools.readings.split_columns import split_of_folder


@dataclass(frozen=True, kw_only=True)
class UnlabeledImages(FilePart):
    """The images of a test or a validation split that no other part labels, in split test: those
    that `tests` name, that `splits` (see ``SplitFacts``) place there, or that lie in such a folder.
    """

    tests: tuple[NamedTable, ...]
    splits: NDArray[np.int8] | None = field(repr=False)
    task: str

    def describe(self) -> str:
        return ""

    def collect(self, index: FileIndex, sources: FileSources) -> None:
        masks = frozenset(sources.targets.files().tolist())
        named = frozenset(number for table in self.tests for number in _named(index, table))
        for number in sources.unused():
            is_test = number in named or self._is_test(number)
            if number not in masks and (is_test or self._lies_in_test(index.images[number])):
                sources.add_unlabeled(number)

    def _is_test(self, number: int) -> bool:
        return self.splits is not None and self.splits[number] > SPLITS.index("train")

    def _lies_in_test(self, path: str) -> bool:
        folder = folder_of(path)
        is_mask = self.task == "segmentation" and any(map(is_mask_name, folder.split("/")))
        return split_of_folder(folder) in ("test", "val") and not is_mask


def _named(index: FileIndex, named: NamedTable) -> Iterator[int]:
    for _, cells in named.table.rows():
        if len(cells) > max(named.names.columns):
            yield from named.names.find(index, named.names.text(cells))
