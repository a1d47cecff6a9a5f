"""The sources of a download: what all layouts come down to."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from tools.download.name_index import Names
from tools.images.image_source import Images
from tools.images.masks import MaskColors

SPLITS = ("train", "val", "test")


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Labeled sources, in the order of the download.

    `names` says where each lies, for people, and `places` what named it, where a table did: its
    name and row. `task` is a key of TARGET_COMPONENTS, and with it

    - classification: `labels`, int32 (n,), are indices into `classes`; they are -1 for other tasks;
    - multi-label: `targets`, float32 (n, classes), are 0 or 1;
    - regression: `targets`, float32 (n, k), of the columns `target_names`;
    - segmentation: `masks` are the mask files, and `mask_colors` how they become classes.

    `classes` are in order if `ordered`, else the plan sorts them. `splits`, int8 (n,), are indices
    into SPLITS, or None if the download isn't divided; `groups`, int32 (n,), number what must stay
    together. `rejected` are (name, reason) of what didn't even become a source.
    """

    images: Images
    names: Sequence[str]
    places: Sequence[str] | None = None
    task: str = "classification"
    labels: NDArray[np.int32]
    classes: tuple[str, ...]
    ordered: bool = False
    targets: NDArray[np.float32] | None = None
    target_names: tuple[str, ...] = ()
    masks: Images | None = None
    mask_colors: MaskColors | None = None
    splits: NDArray[np.int8] | None
    groups: NDArray[np.int32] | None = None
    rejected: tuple[tuple[str, str], ...]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, numbers: NDArray[np.int64]) -> "Sources":
        """Only the sources of these numbers, in this order."""
        return replace(
            self,
            images=self.images.take(numbers),
            names=Names(self.names, numbers),
            places=None if self.places is None else Names(self.places, numbers),
            labels=self.labels[numbers],
            targets=None if self.targets is None else self.targets[numbers],
            masks=None if self.masks is None else self.masks.take(numbers),
            splits=None if self.splits is None else self.splits[numbers],
            groups=None if self.groups is None else self.groups[numbers],
        )

    def place(self, number: int) -> str:
        """Where a source was named: a row of a table, else the file itself."""
        return (self.places or self.names)[number]


@dataclass
class LabelCodes:
    """Label texts numbered as they come."""

    codes: dict[str, int] = field(default_factory=dict)

    def __getitem__(self, text: str) -> int:
        return self.codes.setdefault(text, len(self.codes))

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(self.codes)


def sort_classes(texts: Sequence[str]) -> tuple[str, ...]:
    """By number if all are integers, else by text."""
    if all(_is_integer(text) for text in texts):
        return tuple(sorted(texts, key=lambda text: (int(text), text)))
    return tuple(sorted(texts))


def _is_integer(text: str) -> bool:
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdecimal()
