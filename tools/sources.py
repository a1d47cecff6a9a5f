"""The sources of a download: what all layouts come down to."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tools.blocks import Images

SPLITS = ("train", "val", "test")


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Labelled sources, in the order of the download.

    `names` says where each lies, for people; `labels` are indices into `label_texts`, int32 (n,);
    `splits` are indices into SPLITS, int8 (n,), or None if the download isn't divided. `rejected`
    are (name, reason) of what didn't even become a source.
    """

    images: Images
    names: Sequence[str]
    labels: NDArray[np.int32]
    label_texts: tuple[str, ...]
    splits: NDArray[np.int8] | None
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
