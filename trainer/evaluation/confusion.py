"""Confusion matrix: counts, and a chart of them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.chart_fonts import class_labels, drawable, save_figure
from pipeline.chart_style import BLUE, STYLE
from trainer.files import replaced

# Largest matrix that the chart shows; of more classes it shows the most frequent confusions.
MATRIX_CLASSES = 40
# Largest matrix with a number in each cell.
NUMBERED_CLASSES = 20
CHART_PAIRS = 25
NAME_LENGTH = 24


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """Confusion matrix of an ``Evaluation``; `counts` are numbers of samples or pixels (`unit`)."""

    classes: tuple[str, ...]
    counts: NDArray[np.int64]
    unit: str = "samples"

    def pairs(self, limit: int) -> list[tuple[str, str, int, float]]:
        """(class, predicted class, count, fraction of the class), the most frequent first."""
        errors = self.counts.copy()
        np.fill_diagonal(errors, 0)
        order = np.argsort(-errors, axis=None, kind="stable")[:limit]
        rows, columns = np.unravel_index(order, errors.shape)
        samples = self.counts.sum(1)
        return [
            (self.classes[row], self.classes[column], count, count / int(samples[row]))
            for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
            if (count := int(errors[row, column]))
        ]


def draw_confusion(confusion: Confusion, path: Path) -> None:
    """Write a PNG of the matrix, or of the most frequent confusions of many classes."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    is_matrix = len(confusion.classes) <= MATRIX_CLASSES
    side_inches = 3.2 + 0.34 * len(confusion.classes) if is_matrix else 8.0
    with rc_context(STYLE), replaced(path, "free disk space, then repeat the command") as partial:
        figure = Figure(figsize=(side_inches + 0.6, side_inches), dpi=120, layout="constrained")
        (_draw_matrix if is_matrix else _draw_pairs)(figure.subplots(), confusion)
        save_figure(figure, partial, format="png")


def _draw_matrix(axes: Any, confusion: Confusion) -> None:
    counts, names = confusion.counts, _short_labels(confusion.classes)
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


def _draw_pairs(axes: Any, confusion: Confusion) -> None:
    pairs = confusion.pairs(CHART_PAIRS)
    short = dict(zip(confusion.classes, _short_labels(confusion.classes), strict=True))
    names = [f"{short[true]} → {short[predicted]}" for true, predicted, _, _ in pairs]
    bars = axes.barh(range(len(pairs)), [fraction for *_, fraction in pairs], color=BLUE)
    axes.bar_label(bars, [f" {count:,}" for _, _, count, _ in pairs], fontsize=8)
    axes.set_yticks(range(len(pairs)), names, fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.1, y=0.01)
    axes.set_xlabel(f"fraction of the true class; labels: number of {confusion.unit}")
    axes.set_title(f"{_title(confusion)}; most frequent confusions (true → predicted)")


def _title(confusion: Confusion) -> str:
    total, correct = int(confusion.counts.sum()), int(confusion.counts.trace())
    return f"{correct:,} of {total:,} {confusion.unit} correct"


def _short_labels(names: tuple[str, ...]) -> list[str]:
    half = NAME_LENGTH // 2
    return [
        name if len(name) <= NAME_LENGTH else f"{name[: half - 1]}…{name[-half:]}"
        for name in map(drawable, class_labels(names))
    ]
