"""Which classes are taken for which: counts, and their picture."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.chart_style import BLUE, STYLE
from trainer.checkpoints.checkpoint_file import PARTIAL_SUFFIX

# Up to so many classes the picture is the whole matrix, and up to so many with its figures.
MATRIX_CLASSES = 40
FIGURE_CLASSES = 20
PAIRS = 25
NAME_LETTERS = 24


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """`counts`: int64 (classes, classes), samples or pixels, as `unit` says, of the row's class
    taken for the column's."""

    classes: tuple[str, ...]
    counts: NDArray[np.int64]
    unit: str = "samples"

    def accuracies(self) -> dict[str, float]:
        """Class -> share of its samples that were recognized; without the classes that the split
        doesn't show."""
        samples, right = self.counts.sum(1).tolist(), self.counts.diagonal().tolist()
        return {
            name: hits / count
            for name, hits, count in zip(self.classes, right, samples, strict=True)
            if count
        }

    def pairs(self, most: int) -> list[tuple[str, str, int, float]]:
        """(class, what it was taken for, count, share of the class), the most frequent first."""
        wrong = self.counts.copy()
        np.fill_diagonal(wrong, 0)
        order = np.argsort(-wrong, axis=None, kind="stable")[:most]
        rows, columns = np.unravel_index(order, wrong.shape)
        samples = self.counts.sum(1)
        return [
            (self.classes[row], self.classes[column], count, count / int(samples[row]))
            for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
            if (count := int(wrong[row, column]))
        ]


def confusion_sums(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """float64 (classes * classes): ``Confusion.counts``, row by row.

    Args:
        outputs: (B, classes).
        labels: int64 (B,); -1 doesn't count.
    """
    known, classes = labels >= 0, outputs.shape[1]
    places = labels[known] * classes + outputs[known].argmax(1)
    return torch.bincount(places, minlength=classes**2).double()


def draw_confusion(confusion: Confusion, path: Path) -> None:
    """Write a PNG: the matrix, or of many classes the pairs that are confused most."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    matrix = len(confusion.classes) <= MATRIX_CLASSES
    side = 3.2 + 0.34 * len(confusion.classes) if matrix else 8.0
    partial = path.with_suffix(PARTIAL_SUFFIX)
    with rc_context(STYLE):
        figure = Figure(figsize=(side + 0.6, side), dpi=120, layout="constrained")
        (_draw_matrix if matrix else _draw_pairs)(figure.subplots(), confusion)
        figure.savefig(partial, format="png")
    partial.replace(path)


def _draw_matrix(axes: Any, confusion: Confusion) -> None:
    counts, names = confusion.counts, [_short(name) for name in confusion.classes]
    shares = counts / counts.sum(1, keepdims=True).clip(1)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(names)), names, rotation=90)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("taken for")
    axes.set_ylabel("class")
    axes.set_title(_title(confusion))
    axes.figure.colorbar(image, ax=axes, label="share of the class", shrink=0.8)
    if len(names) <= FIGURE_CLASSES:
        for row, column in np.argwhere(counts).tolist():
            color = "white" if shares[row, column] > 0.5 else "black"
            # Pixels are too many for a cell.
            pixels, share = confusion.unit == "pixels", shares[row, column]
            text = f"{share:.0%}" if pixels else f"{counts[row, column]:,}"
            axes.text(column, row, text, ha="center", va="center", color=color, fontsize=7)


def _draw_pairs(axes: Any, confusion: Confusion) -> None:
    pairs = confusion.pairs(PAIRS)
    names = [f"{_short(one)} → {_short(other)}" for one, other, _, _ in pairs]
    bars = axes.barh(range(len(pairs)), [share for *_, share in pairs], color=BLUE)
    axes.bar_label(bars, [f" {count:,}" for _, _, count, _ in pairs], fontsize=8)
    axes.set_yticks(range(len(pairs)), names, fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.1, y=0.01)
    axes.set_xlabel(f"share of the class; beside the bar: {confusion.unit}")
    axes.set_title(f"{_title(confusion)}: taken for another, most often first")


def _title(confusion: Confusion) -> str:
    total = int(confusion.counts.sum())
    return f"{int(confusion.counts.trace()):,} of {total:,} {confusion.unit} recognized"


def _short(name: str) -> str:
    half = NAME_LETTERS // 2
    return name if len(name) <= NAME_LETTERS else f"{name[: half - 1]}…{name[-half:]}"
