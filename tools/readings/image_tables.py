"""Tables whose rows name image files and their targets."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline.errors import DataError
from pipeline.text import join_names, plural
from tools.download.file_index import FileIndex, folder_of
from tools.download.label_parsing import LabelRule, UnusableRowError, is_runs
from tools.download.name_patterns import is_group_column
from tools.download.tables import Table
from tools.images.masks import MaskColors
from tools.readings.collect import FilePart, FileSources
from tools.readings.image_names import ImageNames
from tools.readings.split_columns import SplitColumn, split_of_folder
from tools.readings.targets import MaskTargets, RunLengthTargets, Targets, label_targets


@dataclass(frozen=True, kw_only=True)
class ImageTable(FilePart):
    """A table whose rows name images by `images`.

    With `has_splits` a row's split is in `split_column`, or in the image's folder if that is None.
    `group` is the index of the column of groups.
    """

    table: Table
    images: ImageNames
    split_column: SplitColumn | None = None
    group: int | None = None

    def rows(
        self, index: FileIndex, sources: FileSources, columns: Sequence[int]
    ) -> Iterator[tuple[int, list[str], int]]:
        """Yield (line, cells, number of the image) of complete rows that name one image; reject the
        others. Raises ``DataError`` for a quote that is not closed in one of `columns`."""
        width = len(self.table.columns)
        for line, cells in self.table.rows():
            # In a row that was cut off even the last cell may be incomplete.
            if len(cells) < width or any(cells[width:]):
                sources.reject(line, f"the row has {plural(len(cells), 'cell')}, not {width}")
                continue
            name = self.images.text(cells)
            self._check_quotes(line, [name, *(cells[n] for n in columns)])
            numbers = self.images.find_in_row(index, cells)
            if len(numbers) == 1:
                yield line, cells, numbers[0]
            elif name:
                sources.reject(line, _not_one_image(index, "image", name, numbers))
            else:
                sources.reject(line, "no image is named")

    def split_of(self, cells: Sequence[str], path: str) -> str | None:
        """The split of a row; raises ``UnusableRowError``."""
        if self.split_column is not None:
            return self.split_column.read(cells)
        if self.has_splits:
            return split_of_folder(folder_of(path)) or self.split
        return self.split

    def group_of(self, cells: Sequence[str]) -> str:
        """The group of a row, "" for none."""
        return "" if self.group is None else cells[self.group].strip()

    def describe_with(self, targets: str) -> str:
        """The phrase of ``describe``, with a phrase about the targets."""
        header = "" if self.table.header else " (without a header)"
        text = f"{self.name}{header}: image files{self.images.describe(self.table)}, {targets}"
        if self.split_column is not None:
            text += f", splits by column {self.split_column.name!r}"
        elif self.has_splits:
            text += ", splits by folder"
        if self.group is not None:
            text += f", groups by column {self.table.columns[self.group]!r}"
        return text

    def _check_quotes(self, line: int, texts: Sequence[str]) -> None:
        for text in texts:
            if "\n" in text:
                raise DataError(
                    f"{self.name}: the cell that begins with {text[:30]!r} and ends in line {line} "
                    f"spans several lines. Close the quote where the cell should end."
                )


@dataclass(frozen=True, kw_only=True)
class LabelTable(ImageTable):
    """A table with labels or numbers, read by `rule`; with `unites_rows` the labels of all rows of
    an image are its set."""

    rule: LabelRule
    unites_rows: bool = False

    def describe(self) -> str:
        text = self.describe_with(self.rule.describe())
        if (column := self._ungrouped_column()) is None:
            return text
        return (
            f"{text} (a random split may divide the images of one {column!r}; to keep them "
            f"together: --group-column {column})"
        )

    def targets(self, index: FileIndex) -> Targets:
        return label_targets(self.rule, unites_rows=self.unites_rows)

    def collect(self, index: FileIndex, sources: FileSources) -> None:
        for line, cells, image in self.rows(index, sources, self.rule.columns):
            try:
                target = self.rule.read(cells)
                split = self.split_of(cells, index.images[image])
            except UnusableRowError as error:
                sources.reject(line, f"{error} ({self.images.text(cells)!r})")
                continue
            sources.add(image, target, split=split, line=line, group=self.group_of(cells))

    def _ungrouped_column(self) -> str | None:
        """A column of groups that a random split may divide."""
        if self.group is not None or self.has_splits or self.split in ("val", "test"):
            return None
        for number, name in enumerate(self.table.columns):
            if is_group_column(name) and number not in self.images.columns:
                groups = self.table.cells(number)
                if len(set(groups)) < len(groups):
                    return name
        return None


@dataclass(frozen=True, kw_only=True)
class MaskTable(ImageTable):
    """A table whose rows name an image and, by `masks`, its mask."""

    masks: ImageNames
    classes: tuple[str, ...]
    colors: MaskColors

    def describe(self) -> str:
        return self.describe_with(f"masks{self.masks.describe(self.table)}")

    def targets(self, index: FileIndex) -> Targets:
        return MaskTargets(self.classes, self.colors, index)

    def collect(self, index: FileIndex, sources: FileSources) -> None:
        for line, cells, image in self.rows(index, sources, self.masks.columns):
            name = self.masks.text(cells)
            if not name:
                sources.skip_without_mask(line)
                continue
            masks = [n for n in self.masks.find_anywhere(index, name) if n != image]
            try:
                if len(masks) != 1:
                    raise UnusableRowError(_not_one_image(index, "mask", name, masks))
                split = self.split_of(cells, index.images[image])
            except UnusableRowError as error:
                sources.reject(line, str(error))
                continue
            sources.add(image, (masks[0],), split=split, line=line, group=self.group_of(cells))


@dataclass(frozen=True, kw_only=True)
class RunLengthTable(ImageTable):
    """A table with the run lengths of an object in each row, and its class in the column `label`,
    if there is one; an empty cell is no object. `classes`: background first."""

    runs: int
    label: int | None
    classes: tuple[str, ...]

    def describe(self) -> str:
        names = self.table.columns
        text = f"masks as run lengths in column {names[self.runs]!r}"
        if self.label is not None:
            text += f", classes in column {names[self.label]!r}"
        return self.describe_with(text)

    def targets(self, index: FileIndex) -> Targets:
        return RunLengthTargets(self.classes)

    def collect(self, index: FileIndex, sources: FileSources) -> None:
        numbers = {name: number for number, name in enumerate(self.classes)}
        for line, cells, image in self.rows(index, sources, (self.runs,)):
            runs = cells[self.runs].strip()
            runs = "" if runs == "-1" else runs
            try:
                label = 1 if self.label is None else numbers.get(cells[self.label].strip(), 0)
                if runs and (not label or not is_runs(runs)):
                    column = self.table.columns[self.runs if label else self.label or 0]
                    raise UnusableRowError(f"column {column!r} is {runs[:40]!r}, not run lengths")
                split = self.split_of(cells, index.images[image])
            except UnusableRowError as error:
                sources.reject(line, str(error))
                continue
            target = ((label, runs),) if runs else ()
            sources.add(image, target, split=split, line=line, group=self.group_of(cells))


def _not_one_image(index: FileIndex, kind: str, name: str, numbers: Sequence[int]) -> str:
    """Why the name of an image or a mask can't be used."""
    if not numbers:
        return f"no {kind} file is called {name!r}"
    paths = join_names([index.images[n] for n in numbers], 3)
    return f"the {kind} {name!r} matches {len(numbers)} files: {paths}"
