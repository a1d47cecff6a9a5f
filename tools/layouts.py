"""The parts a download can be made of; each says what it is and how to ask for it."""

from collections.abc import Sequence
from dataclasses import dataclass

from tools.gathering import FilePart
from tools.tables import Table


@dataclass(frozen=True, kw_only=True)
class PixelTable:
    """A CSV with an image a row: `pixels` are the columns of its pixels, `shape` (h, w) or
    (h, w, 3), `planar` if they stand as all R, all G, all B."""

    table: Table
    label: int
    pixels: tuple[int, ...]
    shape: tuple[int, ...]
    planar: bool
    split: str | None

    @property
    def option(self) -> str:
        return f"--labels {self.table.name}"

    def describe(self) -> str:
        height, width = self.shape[:2]
        kind = (
            "gray" if len(self.shape) == 2 else f"RGB, {'planar' if self.planar else 'interleaved'}"
        )
        header = "" if self.table.header else ", which has no header"
        return (
            f"{self.table.name}{header}: a row an image of {width} x {height} pixels ({kind}), "
            f"labels in column {self.table.columns[self.label]!r}"
        )


Part = FilePart | PixelTable


def is_divided(parts: Sequence[Part]) -> bool:
    """Whether the download comes in splits of its own."""
    return len(parts) > 1
