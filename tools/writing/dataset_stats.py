"""Figures about the written samples, for the manifest and the last lines of the tool."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Triple = tuple[float, float, float]


@dataclass
class DatasetStats:
    """Sums over all samples. Integers, so they are exact."""

    heights: Counter[int] = field(default_factory=Counter)
    widths: Counter[int] = field(default_factory=Counter)
    components: set[int] = field(default_factory=set)
    counted: int = 0
    sums: NDArray[np.int64] = field(default_factory=lambda: np.zeros(3, np.int64))
    squares: NDArray[np.int64] = field(default_factory=lambda: np.zeros(3, np.int64))
    samples: int = 0
    lossy: int = 0
    lossy_bytes_before: int = 0
    lossy_bytes_after: int = 0
    psnr_sum: float = 0.0
    psnr_count: int = 0

    def add_sizes(self, rows: NDArray[np.void]) -> None:
        """Add samples of which only the fields height and width are known."""
        self.heights.update(rows["height"].tolist())
        self.widths.update(rows["width"].tolist())

    def add(self, rows: NDArray[np.void], *, training: bool) -> None:
        """Add RESULT_DTYPE `rows`; only training samples enter mean and standard deviation."""
        self.samples += len(rows)
        self.add_sizes(rows)
        self.components.update(rows["component"].tolist())
        if training:
            self.counted += int(rows["counted"].sum())
            self.sums += rows["sums"].sum(axis=0)
            self.squares += rows["squares"].sum(axis=0)
        lossy = rows[rows["lossy"]]
        self.lossy += len(lossy)
        self.lossy_bytes_before += int(lossy["source_bytes"].sum())
        self.lossy_bytes_after += int(lossy["size"].sum())
        measured = lossy["psnr"][np.isfinite(lossy["psnr"])]
        self.psnr_sum += float(measured.sum())
        self.psnr_count += len(measured)

    def mean_and_std(self) -> tuple[Triple, Triple]:
        """Per RGB channel over the counted pixels, in fractions of 255."""
        mean = self.sums / self.counted
        variance = np.maximum(self.squares / self.counted - mean**2, 0)
        return tuple((mean / 255).tolist()), tuple((np.sqrt(variance) / 255).tolist())


def min_median_max(counts: Counter[int]) -> tuple[int, int, int]:
    """Of counted values; of two medians the lower."""
    values = sorted(counts)
    reached = np.cumsum([counts[value] for value in values])
    middle = int(np.searchsorted(reached, (reached[-1] + 1) // 2))
    return values[0], values[middle], values[-1]
