"""Which predictions the columns of a sample submission ask for. Pure functions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.errors import MisuseError
from trainer.prediction.cells import (
    Cells,
    label_cells,
    number_cells,
    several_label_cells,
    top_label_cells,
)
from trainer.prediction.sample_submission import SampleSubmission
from trainer.tasks.multi_label import MultiLabel
from trainer.tasks.regression import Regression
from trainer.tasks.tasks import Task

SEPARATORS = (" ", ",", ";", "|", ", ", "; ")
# Values that a question shows.
_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class Form:
    """`columns`: number of a column of the sample submission -> its cells. `note`: what the columns
    were taken for, a sentence."""

    columns: Mapping[int, Cells]
    note: str


@dataclass(frozen=True, kw_only=True)
class Names:
    """Names of the K predictions: `classes` of the run (targets for regression), and `labels` as
    the download writes them. `positive`: the class of --positive-class; None if not given.
    `threshold`: probability from which an image has a label. `separator` of several labels in a
    cell, if the cells of the sample submission don't show one."""

    classes: tuple[str, ...]
    labels: tuple[str, ...]
    positive: str | None = None
    threshold: float = 0.5
    separator: str = " "

    def index_folded(self, text: str) -> int | None:
        """The class with this name or label, in upper or lower case."""
        for names in (self.labels, self.classes):
            folded = [_folded(name) for name in names]
            if _folded(text) in folded:
                return folded.index(_folded(text))
        return None

    def index(self, text: str) -> int | None:
        """The class with this name or label."""
        for names in (self.labels, self.classes):
            if text in names:
                return names.index(text)
        return None

    def positive_index(self) -> int:
        """The class of --positive-class, else the last one; raises ``MisuseError`` for an unknown
        one."""
        if self.positive is None:
            return len(self.classes) - 1
        if (number := self.index(self.positive)) is None:
            raise MisuseError(
                f"--positive-class {self.positive}: the classes are {', '.join(self.classes)}."
            )
        return number


def fit_form(sample: SampleSubmission, task: Task, names: Names) -> Form:
    """What the value columns of the sample submission ask for.

    Raises ``MisuseError`` with a question if nothing fits, or more than one thing.
    """
    numbers = sample.value_columns
    by_name = _columns_by_name(sample, names)
    if by_name is not None:
        return Form(
            columns={n: number_cells(k) for n, k in by_name.items()},
            note=f"a column for each of the {len(by_name)} "
            f"{'targets' if isinstance(task, Regression) else 'classes (probabilities)'}",
        )
    if len(numbers) == 1:
        (number,) = numbers
        cells, note = _one_column(number, sample, task, names)
        return Form(columns={number: cells}, note=f"column {sample.columns[number]!r}: {note}")
    raise _question(sample, names, "no column for each class, and more than one column of values")


def _columns_by_name(sample: SampleSubmission, names: Names) -> dict[int, int] | None:
    """Column -> prediction, if the columns have the names of all classes or targets."""
    for texts in (names.labels, names.classes):
        places = {_folded(text): k for k, text in enumerate(texts)}
        found = {n: places.get(_folded(sample.columns[n])) for n in sample.value_columns}
        known = {n: k for n, k in found.items() if k is not None}
        if len(known) == len(found) == len(places) == len({*known.values()}):
            return known
    return None


def _one_column(
    number: int, sample: SampleSubmission, task: Task, names: Names
) -> tuple[Cells, str]:
    cells = sample.cells[number]
    if isinstance(task, Regression):
        if len(names.classes) > 1:
            raise _question(sample, names, f"one column for {len(names.classes)} targets")
        return number_cells(0), f"the target {names.classes[0]!r}"
    if isinstance(task, MultiLabel):
        texts, separator = _labels_and_separator(cells, sample, names)
        note = f"labels with a probability of at least {names.threshold:g}, joined by {separator!r}"
        return several_label_cells(texts, separator, names.threshold), note
    named = names.index_folded(sample.columns[number])
    is_asked = names.positive is not None or named is not None or len(names.classes) == 2
    if _has_fractions(cells, names) and not is_asked:
        raise _question(sample, names, f"fractions, but there are {len(names.classes)} classes")
    if names.positive is not None or _has_fractions(cells, names):
        positive = names.positive_index() if names.positive or named is None else named
        note = f"the probability of {names.classes[positive]!r} (--positive-class says otherwise)"
        return number_cells(positive), note
    texts, separator = _labels_and_separator(cells, sample, names)
    count = max((len(cell.split(separator)) for cell in cells if cell not in texts), default=1)
    if count > 1:
        return top_label_cells(texts, separator, count), f"the {count} most probable classes"
    note = "the most probable class"
    if len(names.classes) == 2:
        note += f" (--positive-class {names.classes[1]} writes its probability)"
    return label_cells(texts), note


def _labels_and_separator(
    cells: Sequence[str], sample: SampleSubmission, names: Names
) -> tuple[tuple[str, ...], str]:
    """Whether cells hold labels or names of classes, and what separates several of them."""
    filled = {cell.removesuffix(".0") if cell not in names.labels else cell for cell in cells}
    filled.discard("")
    if not filled:
        return names.labels, names.separator
    for texts in (names.labels, names.classes):
        known = {*texts}
        if filled <= known:
            return texts, names.separator
        for separator in SEPARATORS:
            if all(known.issuperset(cell.split(separator)) for cell in filled):
                return texts, separator
    raise _question(sample, names, "values that are no labels")


def _has_fractions(cells: Sequence[str], names: Names) -> bool:
    """Whether all cells are numbers, and some are written as fractions, such as 0.5 or 1e-3; 2.0 is
    none if there are more than two classes and 2 is a label."""
    try:
        numbers = [float(cell) for cell in cells if cell]
    except ValueError:
        return False
    if len(names.classes) > 2 and {*map(str, numbers)} <= {f"{text}.0" for text in names.labels}:
        return False
    return bool(numbers) and any(not cell.lstrip("+-").isdecimal() for cell in cells if cell)


def _folded(text: str) -> str:
    return text.strip().casefold()


def _question(sample: SampleSubmission, names: Names, found: str) -> MisuseError:
    columns = ", ".join(sample.columns[n] for n in sample.value_columns[:_SHOWN])
    cells = dict.fromkeys(cell for n in sample.value_columns for cell in sample.cells[n])
    values = ", ".join(repr(cell) for cell in list(cells)[:_SHOWN])
    labels = ", ".join(map(repr, names.labels[:_SHOWN]))
    more = "" if len(names.labels) <= _SHOWN else f" and {len(names.labels) - _SHOWN} more"
    return MisuseError(
        f"What does {sample.table} ask for? It has {found}: {columns} with {values}. The labels "
        f"are {labels}{more}. Pass --positive-class CLASS for the probability of one class, "
        f"or --format labels, probabilities or npz for a file that you convert yourself."
    )
