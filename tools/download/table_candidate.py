"""A table whose rows name images, before it is chosen."""

from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.errors import MisuseError
from tools.download.file_index import FileIndex
from tools.download.image_names import ImageNames, settle_folders
from tools.download.name_patterns import is_mask_name
from tools.download.tables import Table


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A table whose rows name images: `masks` name their masks, if
    there are such, `candidates` are the columns that may hold labels."""

    table: Table
    images: ImageNames
    masks: ImageNames | None
    candidates: tuple[int, ...]
    split: str | None

    @property
    def option(self) -> str:
        return f"--labels {self.table.name}"

    def numbers(self, index: FileIndex) -> Iterator[int]:
        """The images that the rows name, in the folder that fits all."""
        try:
            images = settle_folders(index, self.table, self.images, masks=False)
        except MisuseError:
            images = self.images
        for _, cells in self.table.rows():
            if len(cells) > max(images.columns):
                yield from images.find(index, images.text(cells))

    def varies(self) -> bool:
        """Whether a column that may hold labels holds two values; a sample submission's doesn't."""
        for column in self.candidates:
            values = set(self.table.cells(column))
            if len(values) > 1:
                return True
            cells = (cells[column] for _, cells in self.table.rows() if len(cells) > column)
            if any(cell.strip() not in values for cell in cells):
                return True
        return False


def is_mask_column(index: FileIndex, table: Table, column: int) -> bool:
    """Whether it is called so and names images, as no label does by chance: by path, or a
    different one in most rows."""
    if not is_mask_name(table.columns[column]):
        return False
    cells = [cell for cell in table.cells(column) if not cell.isdecimal()]
    various = 2 * len(set(cells)) > len(cells)
    return any((various or "/" in cell or "." in cell) and index.find_any(cell) for cell in cells)
