"""The sources of a download: what all layouts come down to."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tools.blocks import Images
from tools.masks import MaskColours

SPLITS = ("train", "val", "test")


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Labelled sources, in the order of the download.

    `names` says where each lies, for people. `task` is a key of TARGET_COMPONENTS, and with it

    - classification: `labels`, int32 (n,), are indices into `classes`;
    - multi-label: `targets`, float32 (n, classes), are 0 or 1;
    - regression: `targets`, float32 (n, k), of the columns `target_names`;
    - segmentation: `masks` are the mask files, and `mask_colours` how they become classes.

    `classes` are in order if `ordered`, else the plan sorts them. `splits`, int8 (n,), are indices
    into SPLITS, or None if the download isn't divided; `groups`, int32 (n,), number what must stay
    together. `rejected` are (name, reason) of what didn't even become a source.
    """

    images: Images
    names: Sequence[str]
    task: str = "classification"
    labels: NDArray[np.int32]
    classes: tuple[str, ...]
    ordered: bool = False
    targets: NDArray[np.float32] | None = None
    target_names: tuple[str, ...] = ()
    masks: Images | None = None
    mask_colours: MaskColours | None = None
    splits: NDArray[np.int8] | None
    groups: NDArray[np.int32] | None = None
    rejected: tuple[tuple[str, str], ...]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)


@dataclass
class LabelCodes:
    """Label texts numbered as they come."""

    codes: dict[str, int] = field(default_factory=dict)

    def __getitem__(self, text: str) -> int:
        return self.codes.setdefault(text, len(self.codes))

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(self.codes)
