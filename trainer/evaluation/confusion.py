"""Confusion matrix: counts, and a chart of them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unicodedata import bidirectional

import numpy as np
from numpy.typing import NDArray

from pipeline.chart_fonts import class_labels, save_figure
from pipeline.chart_style import BLUE, STYLE
from pipeline.chart_text import fit_text, text_inches
from trainer.files import REPEAT, replaced
from trainer.run.run_dir import write_rows

# Largest matrix that the chart shows; of more classes it shows the most frequent confusions.
MATRIX_CLASSES = 40
# Largest matrix with a number in each cell.
NUMBERED_CLASSES = 20
CHART_PAIRS = 25
# Names of the matrix get up to this width, in inches; beyond it two lines.
_NAME_INCHES, _NAME_SIZE, _PAIR_INCHES, _PAIR_SIZE = 3.0, 10, 4.0, 8
_CELL_INCHES, _PAIRS_HEIGHT = 0.34, 8.0


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """Confusion matrix of an ``Evaluation``; `counts` are numbers of samples or pixels (`unit`)."""

    classes: tuple[str, ...]
    counts: NDArray[np.int64]
    unit: str = "samples"

    def pairs(self, limit: int | None = None) -> list[tuple[str, str, int, float]]:
        """(class, predicted class, count, fraction of the class), the most frequent first and
        equally frequent ones in the order of the classes."""
        samples = self.counts.sum(1)
        return [
            (self.classes[row], self.classes[column], count, count / int(samples[row]))
            for row, column in self.places(limit)
            for count in [int(self.counts[row, column])]
        ]

    def places(self, limit: int | None = None) -> list[tuple[int, int]]:
        """(row, column) in `counts` of each of the ``pairs``."""
        errors = self.counts.copy()
        np.fill_diagonal(errors, 0)
        confused = int(np.count_nonzero(errors))
        limit = confused if limit is None else min(limit, confused)
        order = np.argsort(-errors, axis=None, kind="stable")[:limit]
        rows, columns = np.unravel_index(order, errors.shape)
        return list(zip(rows.tolist(), columns.tolist(), strict=True))


def write_pairs(confusion: Confusion, path: Path) -> None:
    """Write a CSV of all ``Confusion.pairs``; raises ``DataError`` if it can't be written."""
    header = ("true", "predicted", confusion.unit, "fraction of the true class")
    write_rows(path, [header, *(tuple(map(str, pair)) for pair in confusion.pairs())], REPEAT)


def draw_confusion(confusion: Confusion, path: Path) -> None:
    """Write a PNG of the matrix, or of the most frequent confusions of many classes."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    is_matrix = len(confusion.classes) <= MATRIX_CLASSES
    names = _matrix_names(confusion) if is_matrix else _pair_names(confusion)
    size = _NAME_SIZE if is_matrix else _PAIR_SIZE
    lines = [line for name in names for line in name.split("\n")]
    room = max((text_inches(line, size) for line in lines), default=0.0)
    side = _CELL_INCHES * len(names) + 2.6
    inches = (room + side + 1, room + side) if is_matrix else (room + 5.5, _PAIRS_HEIGHT)
    with rc_context(STYLE), replaced(path, REPEAT) as partial:
        figure = Figure(figsize=inches, dpi=120, layout="constrained")
        (_draw_matrix if is_matrix else _draw_pairs)(figure.subplots(), confusion, names)
        save_figure(figure, partial, format="png")


def _matrix_names(confusion: Confusion) -> list[str]:
    """The names of the classes, in up to two lines."""
    names = class_labels(confusion.classes)
    return [fit_text(name, _NAME_INCHES, _NAME_SIZE, lines=2) for name in names]


def _pair_names(confusion: Confusion) -> list[str]:
    """The most frequent confusions, true → predicted."""
    names = class_labels(confusion.classes)
    return [_pair_name(names[row], names[column]) for row, column in confusion.places(CHART_PAIRS)]


def _pair_name(true: str, predicted: str) -> str:
    """In two lines if one is too short, or if letters that are written to the left would change the
    order of the names."""
    fits = text_inches(f"{true} → {predicted}", _PAIR_SIZE) <= _PAIR_INCHES
    if fits and not any(bidirectional(letter) in ("R", "AL") for letter in true + predicted):
        return fit_text(f"{true} → {predicted}", _PAIR_INCHES, _PAIR_SIZE, lines=2)
    above, below = (fit_text(name, _PAIR_INCHES, _PAIR_SIZE) for name in (true, predicted))
    return f"{above} →\n{below}"


def _draw_matrix(axes: Any, confusion: Confusion, names: list[str]) -> None:
    counts = confusion.counts
    fractions = counts / counts.sum(1, keepdims=True).clip(1)
    image = axes.imshow(fractions, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(names)), names, rotation=90)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.set_title(_title(confusion))
    axes.figure.colorbar(image, ax=axes, label="fraction of the true class", shrink=0.8)
    if len(names) <= NUMBERED_CLASSES:
        for row, column in np.argwhere(counts).tolist():
            fraction = fractions[row, column]
            # Counts of pixels are too long for a cell.
            is_pixels = confusion.unit == "pixels"
            text = f"{fraction:.0%}" if is_pixels else f"{counts[row, column]:,}"
            color = "white" if fraction > 0.5 else "black"
            axes.text(column, row, text, ha="center", va="center", color=color, fontsize=7)


def _draw_pairs(axes: Any, confusion: Confusion, names: list[str]) -> None:
    pairs = confusion.pairs(CHART_PAIRS)
    bars = axes.barh(range(len(pairs)), [fraction for *_, fraction in pairs], color=BLUE)
    axes.bar_label(bars, [f" {count:,}" for _, _, count, _ in pairs], fontsize=8)
    axes.set_yticks(range(len(pairs)), names, fontsize=_PAIR_SIZE)
    axes.invert_yaxis()
    axes.margins(x=0.1, y=0.01)
    axes.set_xlabel(f"fraction of the true class; labels: number of {confusion.unit}")
    axes.set_ylabel("most frequent confusions: true → predicted")
    axes.set_title(_title(confusion))


def _title(confusion: Confusion) -> str:
    total, correct = int(confusion.counts.sum()), int(confusion.counts.trace())
    return f"{correct:,} of {total:,} {confusion.unit} correct"
