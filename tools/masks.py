"""Segmentation masks: colours of a file -> class indices."""

from dataclasses import dataclass

from tools.complaints import Complaints
from tools.images import Pixels


@dataclass(frozen=True, kw_only=True)
class MaskColours:
    """How the pixels of a mask file become class indices.

    `colours`: RGB of each class, the nearest counts; or None: a gray value from `threshold` on is
    class 1, below it class 0.
    """

    colours: tuple[tuple[int, int, int], ...] | None
    threshold: int = 128


def encode_mask(
    data: bytes, colours: MaskColours, size: tuple[int, int], complaints: Complaints
) -> tuple[bytes, Pixels]:
    raise NotImplementedError
