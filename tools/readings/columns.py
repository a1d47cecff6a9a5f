"""What the columns of a table that names images may mean, from their names and cells."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from pathlib import PurePosixPath

from tools.download.label_parsing import is_runs, parse_flag, parse_number
from tools.download.name_index import IMAGE_SUFFIXES, suffix_of
from tools.download.name_patterns import (
    is_fold_column,
    is_group_column,
    is_id_column,
    is_unnamed,
    words_of,
)
from tools.download.tables import Table

_SIZE_WORDS = frozenset(
    {"width", "height", "w", "h", "size", "channels", "depth", "area", "resolution", "bytes"}
    | {"megapixels", "orientation"}
)
_BOX_WORDS = frozenset(
    {"x", "y", "z", "xmin", "ymin", "xmax", "ymax", "left", "top", "right", "bottom", "bbox"}
    | {"box", "boxes", "bounding", "roi", "cx", "cy", "xc", "yc", "min", "max", "center", "coord"}
    | {"coords", "coordinates", "polygon", "points", "segmentation", "lat", "lon", "latitude"}
    | {"longitude", "upper", "lower", "start", "end", "rect"}
)
_DATE_WORDS = frozenset(
    {"date", "time", "datetime", "timestamp", "captured", "created", "updated", "modified"}
)
_TEXT_WORDS = frozenset(
    {"url", "path", "comment", "comments", "description", "caption", "notes", "note", "remark"}
    | {"remarks", "title", "license", "source", "author", "photographer", "copyright", "md5"}
    | {"hash", "sha", "uuid", "seq", "sequence", "frame", "num", "location", "camera", "device"}
)
_LABEL_WORDS = ("label", "labels", "class", "target", "category", "classname", "classid")
_LIKELY_WORDS = frozenset(
    {"species", "breed", "diagnosis", "dx", "finding", "findings", "disease", "type", "kind"}
    | {"tag", "tags", "attribute", "genus", "family", "product", "grade", "level", "status"}
    | {"emotion", "sign", "y", "result", "severity", "quality", "defect", "score", "name"}
    | {"price", "rating", "steering", "angle", "boneage", "popularity", "temperature", "value"}
    | {"classification", "ground", "truth", "gt", "individual", "character", "digit", "letter"}
)
# "n01440764 1 2 300 400 n01440764 ...": a label and a box, repeated.
_LABELED_BOXES = re.compile(r"(\S*[^\d.\s]\S*(\s+-?\d+(\.\d+)?){4}\s*)+")
# The pattern takes long for longer texts.
_MAX_BOX_CHARACTERS = 4000
_TEXT_BOX_WORDS = frozenset({"bbox", "bboxes", "boxes", "boxesstring", "polygon", "polygons"})
_FOUR_NUMBERS = re.compile(r"[\[({]?\s*-?\d+(\.\d+)?([,;\s]+-?\d+(\.\d+)?){3}\s*[\])}]?")
_DATE = re.compile(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}.*|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}.*|\d+:\d\d:\d\d")
_RUN_WORDS = frozenset({"rle", "encoded", "pixels", "mask", "runs", "segmentation"})
# Run lengths are longer than any list of labels.
_MIN_RUN_CHARACTERS = 40
# Of long cells in a column that is called so, some may be marks or damaged.
_MIN_RUN_SHARE = 0.5
# A column with another cell in each of so many rows is an id.
_MANY_ROWS = 20
# Share of different cells from which texts of several words are free text.
_MIN_FREE_TEXT, _FREE_TEXT_WORDS = 0.5, 3


class Role(Enum):
    """What a column may be. Only `LABEL` and `NUMBER` can be targets."""

    LABEL = "labels"
    NUMBER = "numbers"
    CONSTANT = "the same in all rows"
    ID = "ids"
    GROUP = "groups"
    FOLD = "folds"
    SIZE = "sizes"
    BOX = "positions"
    DATE = "dates"
    TEXT = "free text"
    RUNS = "run lengths"


@dataclass(frozen=True)
class Column:
    """The sampled cells of a column, stripped; empty ones are "". `index` is its place; `hint`, the
    name of the table, stands for the name of a column without one. `has_boxes`: each cell is a
    label and a box, repeated; `cells` are the first labels."""

    index: int
    name: str
    cells: Sequence[str]
    hint: str = ""
    has_boxes: bool = False

    @cached_property
    def values(self) -> frozenset[str]:
        """The different cells that are not empty."""
        return frozenset(self.cells) - {""}

    @cached_property
    def filled(self) -> int:
        """The number of cells that are not empty."""
        return sum(map(bool, self.cells))

    @cached_property
    def numbers(self) -> tuple[float, ...] | None:
        """The different values as numbers; None if one is not a number."""
        numbers = [parse_number(value) for value in self.values]
        return None if None in numbers else tuple(n for n in numbers if n is not None)

    @cached_property
    def is_flag(self) -> bool:
        """Whether the cells are 0 and 1, false and true, or -1 and 1."""
        if not self.values or self.filled < len(self.cells):
            return False
        return all(parse_flag(value) is not None for value in self.values) or self.is_signed

    @cached_property
    def is_signed(self) -> bool:
        """Whether the cells are -1 and 1."""
        return self.values == {"-1", "1"}

    @cached_property
    def is_marked(self) -> bool:
        """Whether the cells are 1, 0, -1 and empty, of which -1 or empty has no agreed meaning."""
        is_mark = "1" in self.values and self.values <= {"-1", "0", "1"}
        return is_mark and not self.is_flag

    @cached_property
    def is_fractional(self) -> bool:
        """Whether the cells are numbers of which some are no integers."""
        return self.numbers is not None and any(n % 1 for n in self.numbers)

    @cached_property
    def is_distinct(self) -> bool:
        """Whether every row has another cell."""
        return len(self.values) == self.filled >= _MANY_ROWS

    @cached_property
    def words(self) -> tuple[str, ...]:
        return tuple(words_of(self.hint or self.name))

    @cached_property
    def likelihood(self) -> int:
        """How much the name speaks of a label: 4 is called so, 3 has such a word, 2 is a usual
        name of labels, 1 has a word of such a name."""
        joined = "".join(self.words)
        if joined in _LABEL_WORDS:
            return 4
        if self.words and {self.words[-1], self.words[0]} & {*_LABEL_WORDS}:
            return 3
        if joined in _LIKELY_WORDS:
            return 2
        return 1 if {*self.words} & _LIKELY_WORDS else 0

    @cached_property
    def role(self) -> Role:
        """The likeliest role."""
        if len(self.values) < 2:
            return Role.CONSTANT
        if self.has_runs:
            return Role.RUNS
        return self._role_by_name() or self._role_by_cells()

    @cached_property
    def has_runs(self) -> bool:
        """Whether the cells are run lengths of masks: long ones, or in a column called so."""
        is_named = bool({*self.words} & _RUN_WORDS)
        long = any(len(value) >= _MIN_RUN_CHARACTERS for value in self.values)
        runs = sum(map(is_runs, self.values))
        if is_named and long:
            return runs >= _MIN_RUN_SHARE * len(self.values)
        return (is_named or long) and bool(self.values) and runs == len(self.values)

    def _role_by_name(self) -> Role | None:
        words = {*self.words}
        if is_unnamed(self.name):
            return Role.ID
        if is_fold_column(self.name):
            return Role.FOLD
        if is_group_column(self.name) and not self.is_flag:
            return Role.GROUP
        if words & _TEXT_BOX_WORDS and not words & {*_LABEL_WORDS}:
            return Role.BOX
        if self.numbers is not None:
            if words & _SIZE_WORDS and not words & {*_LABEL_WORDS}:
                return Role.SIZE
            if words & _BOX_WORDS and not words & {*_LABEL_WORDS}:
                return Role.BOX
        if words & _DATE_WORDS:
            return Role.DATE
        if words & _TEXT_WORDS and not {*_LABEL_WORDS} & words:
            return Role.TEXT
        if words & {*_LABEL_WORDS}:
            return None
        ends_as_id = len(words) > 1 and self.words[-1] in ("id", "uid", "uuid")
        is_id = is_id_column(self.name) and self._distinct_share > _MIN_FREE_TEXT
        return Role.ID if ends_as_id or is_id else None

    def _role_by_cells(self) -> Role:
        if self.numbers is None and all(_FOUR_NUMBERS.fullmatch(v[:200]) for v in self.values):
            return Role.BOX
        is_various = self._distinct_share > _MIN_FREE_TEXT
        names = sum("/" in value or suffix_of(value) in IMAGE_SUFFIXES for value in self.values)
        if self.is_fractional:
            return Role.NUMBER
        if is_various and (self._is_free_text() or 2 * names > len(self.values)):
            return Role.TEXT
        if self.is_distinct:
            return Role.NUMBER if self.numbers is not None else Role.ID
        dates = all(_DATE.fullmatch(value) for value in self.values)
        return Role.DATE if dates else Role.LABEL

    @property
    def _distinct_share(self) -> float:
        return len(self.values) / max(1, self.filled)

    def _is_free_text(self) -> bool:
        words = sum(len(value.split()) for value in self.values)
        return words >= _FREE_TEXT_WORDS * len(self.values)


def columns_of(table: Table, rows: Sequence[Sequence[str]]) -> list[Column]:
    """The columns of `rows` of `table`; a row that is too short has empty cells."""
    hint = "" if table.header else PurePosixPath(table.name).stem
    return [
        _column(n, name, [row[n].strip() if len(row) > n else "" for row in rows], hint)
        for n, name in enumerate(table.columns)
    ]


def _column(index: int, name: str, cells: Sequence[str], hint: str) -> Column:
    short = all(len(cell) <= _MAX_BOX_CHARACTERS for cell in cells)
    if short and any(cells) and all(_LABELED_BOXES.fullmatch(cell) for cell in cells if cell):
        labels = [cell.partition(" ")[0] for cell in cells]
        return Column(index, name, labels, hint, has_boxes=True)
    return Column(index, name, cells, hint)
