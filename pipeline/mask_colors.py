"""Masks in pictures. Needs no matplotlib: worker processes import it."""

import numpy as np

from pipeline.arrays import Bytes
from pipeline.chart_fonts import class_labels
from pipeline.chart_style import CYCLE
from pipeline.storage.manifest import VOID

_COLORS = np.array([list(bytes.fromhex(color.removeprefix("#"))) for color in CYCLE])
_LEGEND_ENTRIES = 12


def color_mask(image: Bytes, mask: Bytes) -> Bytes:
    """`image` with the classes of `mask` in the colors of CYCLE, half and half.

    The first class, which is mostly the background, and pixels without a class have no color.

    Args:
        image: RGB uint8 (H, W, 3).
        mask: uint8 (H, W), the class of each pixel, or 255.

    Returns:
        RGB uint8 (H, W, 3), a new array.
    """
    colored = image.copy()
    covered = (mask > 0) & (mask != VOID)
    colored[covered] = (image[covered] + _COLORS[(mask[covered] - 1) % len(CYCLE)]) // 2
    return colored


def mask_legend(classes: tuple[str, ...]) -> list[str]:
    """The names of the colors of ``color_mask``, in their order; many end with "and 3 more"."""
    names = class_labels(classes)[1:]
    if len(names) > _LEGEND_ENTRIES:
        names[_LEGEND_ENTRIES - 1 :] = [f"and {len(names) - _LEGEND_ENTRIES + 1:,} more"]
    return names
