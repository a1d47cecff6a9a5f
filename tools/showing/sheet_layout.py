"""Where everything stands on the picture of a dataset, in pixels from its top left corner."""

from dataclasses import dataclass

from tools.showing.sample_choice import Sheet

WIDTH_PX = 1860
MARGIN_PX = 48
TITLE_PX = 132
CHARTS_PX = 400
_GAP_PX = 8
_CLASS_GAP_PX = 16
_NAMES_PX = 210
_CAPTION_PX = 30
_LEGEND_PX = 44


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where the tiles of a sheet stand."""

    sheet: Sheet
    legend: bool

    @property
    def left_px(self) -> int:
        return MARGIN_PX + (_NAMES_PX if self.sheet.line_classes else 0)

    @property
    def side_px(self) -> int:
        columns = self.sheet.columns
        return (WIDTH_PX - self.left_px - MARGIN_PX - (columns - 1) * _GAP_PX) // columns

    @property
    def _line_px(self) -> int:
        return self.side_px + _GAP_PX + (_CAPTION_PX if self.sheet.captions else 0)

    @property
    def _legend_px(self) -> int:
        return _LEGEND_PX if self.legend else 0

    @property
    def charts_px(self) -> int:
        """Top of the charts."""
        _, last_px = self.place(len(self.sheet.rows) - 1)
        return last_px + self._line_px + 2 * MARGIN_PX

    @property
    def height_px(self) -> int:
        return self.charts_px + CHARTS_PX

    def place(self, number: int) -> tuple[int, int]:
        """Left and top of a tile."""
        line, column = divmod(number, self.sheet.columns)
        left = self.left_px + column * (self.side_px + _GAP_PX)
        return left, TITLE_PX + self._legend_px + line * self._line_px + self._gaps_px(line)

    def _gaps_px(self, line: int) -> int:
        """More room between classes that have several lines."""
        starts = sum(label >= 0 for label in self.sheet.line_classes[1 : line + 1])
        return _CLASS_GAP_PX * starts if -1 in self.sheet.line_classes else 0
