"""A part of a download whose images are in arrays or tables of images."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import click
import numpy as np
from numpy.typing import NDArray

from tools.arrays.image_rows import ImageRows
from tools.arrays.row_labels import RowLabels
from tools.images.pixel_range import PixelRange


@dataclass(frozen=True, kw_only=True)
class ArrayPart:
    """Images of one split, in arrays.

    Args:
        option: the option that selects it, as typed in a shell.
        files: the files of the images and of the labels.
        split: train, val or test; None if no name says so.
        images: their number.
        classes: the number of classes; None without labels and for a regression.
        labeled: whether the download has labels beside the images.
        task: a key of TARGET_COMPONENTS.
        ids: gives the id of each image, in order, so that another table can name it; or None.
        notes: sentences about what was taken for what.
        about: see `describe`.
        family: equal for parts that are splits of one data set.
        rows: the images, array by array.
        labels: the targets of all images, in their order.
        splits: int8 (n,), indices into SPLITS, if a column has them.
        pixel_range: of pixels; None for encoded images.
        problem: why it can't be used, raised only if it is the one to use.
    """

    option: str
    files: tuple[str, ...]
    split: str | None
    images: int
    classes: int | None = None
    labeled: bool = True
    task: str = "classification"
    ids: Callable[[], Iterator[str]] | None = None
    notes: tuple[str, ...] = ()
    about: str = ""
    family: tuple[object, ...] = ()
    rows: tuple[ImageRows, ...] = ()
    labels: RowLabels | None = None
    splits: NDArray[np.int8] | None = None
    pixel_range: PixelRange | None = None
    problem: click.ClickException | None = None

    @property
    def name(self) -> str:
        """The first of its files."""
        return self.files[0]

    def describe(self) -> str:
        """What the part is, as a phrase for the user; raises `problem`, if there is one."""
        self.require_usable()
        return self.about

    def require_usable(self) -> None:
        """Raise `problem`, if there is one."""
        if self.problem is not None:
            raise self.problem
