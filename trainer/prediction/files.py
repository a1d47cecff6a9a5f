"""Files of predictions. Each is written under another name first, then renamed."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainer.files import replaced


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a CSV in UTF-8 with lines that end in a newline."""
    with replaced(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def write_npz(path: Path, ids: Sequence[str], **arrays: NDArray[np.generic]) -> None:
    """Write an npz of `ids`, a string array (n,), and `arrays`; the same bytes for the same
    content."""
    with replaced(path) as partial, partial.open("wb") as file:
        np.savez(file, ids=np.array(ids, np.str_), allow_pickle=False, **arrays)
