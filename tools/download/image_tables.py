"""Tables whose rows name image files and say what they show."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline.errors import DataError
from tools.download.collect import FileSources
from tools.download.file_index import FileIndex, folder_of
from tools.download.image_names import ImageNames
from tools.download.label_parsing import LabelRule, Numbers, OneHot, UnusableRowError
from tools.download.split_columns import SplitColumn, split_of_folder
from tools.download.tables import Table
from tools.download.targets import Labels, LabelSets, MaskNumbers, Measures, Targets
from tools.images.masks import MaskColors
from tools.text import plural


@dataclass(frozen=True, kw_only=True)
class RowReader:
    """How the rows of `table` name images by `images`, their splits and groups.

    A split is that of `split_column`, else with `by_folder` that of the image's folder, else
    `split`; `group` is a column.
    """

    table: Table
    images: ImageNames
    split: str | None
    split_column: SplitColumn | None = None
    by_folder: bool = False
    group: int | None = None

    @property
    def divided(self) -> bool:
        return self.split_column is not None or self.by_folder

    def named(
        self, index: FileIndex, into: FileSources, columns: Sequence[int]
    ) -> Iterator[tuple[int, list[str], int]]:
        """(line, cells, image) of the rows that name one image and are whole; the others are
        rejected. Quotes are looked after in `columns`."""
        width = len(self.table.columns)
        for line, cells in self.table.rows():
            # Of a row that was cut off, not even the last cell can be trusted.
            if len(cells) < width or any(cells[width:]):
                into.reject(line, f"the row has {plural(len(cells), 'cell')}, not {width}")
                continue
            name = self.images.text(cells)
            self._check_quotes(line, [name, *(cells[n] for n in columns)])
            found = self.images.find(index, name)
            if len(found) == 1:
                yield line, cells, found[0]
            elif found:
                listed = ", ".join(index.images[n] for n in found[:3])
                into.reject(line, f"{name!r} names {len(found)} files: {listed}")
            elif name:
                into.reject(line, f"id without file: no image is called {name!r}")
            else:
                into.reject(line, "no image is named")

    def split_of(self, cells: Sequence[str], path: str) -> str | None:
        """Raises ``UnusableRowError``."""
        if self.split_column is not None:
            return self.split_column.read(cells)
        if self.by_folder:
            return split_of_folder(folder_of(path)) or self.split
        return self.split

    def group_of(self, cells: Sequence[str]) -> str:
        return "" if self.group is None else cells[self.group].strip()

    def describe(self) -> str:
        header = "" if self.table.header else ", which has no header"
        return f"{self.table.name}{header}: image files{self.images.describe(self.table)}"

    def describe_splits(self) -> str:
        text = ""
        if self.split_column is not None:
            text += f", splits by column {self.split_column.name!r}"
        elif self.by_folder:
            text += ", splits by folder"
        if self.group is not None:
            text += f", groups by column {self.table.columns[self.group]!r}"
        return text

    def _check_quotes(self, line: int, texts: Sequence[str]) -> None:
        for text in texts:
            if "\n" in text:
                raise DataError(
                    f"{self.table.name}: a cell that ends in line {line} goes over several lines, "
                    f"beginning with {text[:30]!r}: a quote is not closed there. Mend it."
                )


class _TablePart:
    """What both kinds of tables have in common."""

    rows: RowReader

    @property
    def table(self) -> Table:
        return self.rows.table

    @property
    def name(self) -> str:
        return self.rows.table.name

    @property
    def split(self) -> str | None:
        return None if self.rows.divided else self.rows.split

    @property
    def divided(self) -> bool:
        return self.rows.divided

    @property
    def grouped(self) -> bool:
        return self.rows.group is not None

    @property
    def option(self) -> str:
        return f"--labels {self.name}"


@dataclass(frozen=True, kw_only=True)
class LabelTable(_TablePart):
    """A table with labels or numbers, read by `rule`; `leak` is a column of groups that a random
    split would divide."""

    rows: RowReader
    rule: LabelRule
    leak: str | None = None

    def describe(self) -> str:
        labels = self.rule.describe(self.table.columns)
        leak = (
            f" (a random split parts what has the same {self.leak!r}: --group-column {self.leak} "
            f"keeps it together)"
            if self.leak
            else ""
        )
        return f"{self.rows.describe()}, {labels}{self.rows.describe_splits()}{leak}"

    def targets(self, index: FileIndex) -> Targets:
        if isinstance(self.rule, Numbers):
            return Measures(self.rule.names)
        if self.rule.task == "classification":
            return Labels()
        return LabelSets(self.rule.names if isinstance(self.rule, OneHot) else ())

    def collect(self, index: FileIndex, into: FileSources) -> None:
        for line, cells, image in self.rows.named(index, into, self.rule.columns):
            try:
                value = self.rule.read(cells)
                split = self.rows.split_of(cells, index.images[image])
            except UnusableRowError as error:
                into.reject(line, f"{error} ({self.rows.images.text(cells)!r})")
                continue
            into.add(image, value, split=split, line=line, group=self.rows.group_of(cells))


@dataclass(frozen=True, kw_only=True)
class MaskTable(_TablePart):
    """A table whose rows name an image and, by `masks`, its mask."""

    rows: RowReader
    masks: ImageNames
    classes: tuple[str, ...]
    colors: MaskColors

    def describe(self) -> str:
        masks = f"masks{self.masks.describe(self.table)}"
        return f"{self.rows.describe()}, {masks}{self.rows.describe_splits()}"

    def targets(self, index: FileIndex) -> Targets:
        return MaskNumbers(self.classes, self.colors, index)

    def collect(self, index: FileIndex, into: FileSources) -> None:
        for line, cells, image in self.rows.named(index, into, self.masks.columns):
            name = self.masks.text(cells)
            if not name:
                into.leave_unmasked(line)
                continue
            found = [n for n in self.masks.find_any(index, name) if n != image]
            try:
                if len(found) != 1:
                    raise UnusableRowError(_not_one_mask(index, name, found))
                split = self.rows.split_of(cells, index.images[image])
            except UnusableRowError as error:
                into.reject(line, str(error))
                continue
            into.add(image, found[0], split=split, line=line, group=self.rows.group_of(cells))


def _not_one_mask(index: FileIndex, name: str, found: Sequence[int]) -> str:
    if not found:
        return f"mask without file: no image is called {name!r}"
    listed = ", ".join(index.images[n] for n in found[:3])
    return f"the mask {name!r} names {len(found)} files: {listed}"
