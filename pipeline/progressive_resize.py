"""Progressive resizing: the side of training images as a function of the position.

Small images make the early epochs cheap (Howard 2018, fast.ai's DAWNBench entry). The size changes
between epochs only, so that all ranks and a resumed run change it at the same step.
"""

from collections.abc import Callable
from typing import Any

import click

# position -> side in px
ImageSize = Callable[[int], int]

# Sizes are multiples of 32 px, the total stride of common networks.
STEP_PX = 32


def progressive_size(start_px: int, end_px: int, *, epochs: int, epoch_positions: int) -> ImageSize:
    """Linear from `start_px` in epoch 0 to `end_px` in epoch `epochs`, rounded down to 32 px."""

    def size_at(position: int) -> int:
        epoch = min(position // epoch_positions, epochs)
        return (start_px + (end_px - start_px) * epoch // epochs) // STEP_PX * STEP_PX

    return size_at


def all_sizes(start_px: int, end_px: int, *, epochs: int) -> list[int]:
    """The sizes of ``progressive_size``, in their order."""
    size_at = progressive_size(start_px, end_px, epochs=epochs, epoch_positions=1)
    return list(dict.fromkeys(map(size_at, range(epochs + 1))))


def parse_start_end(value: Any) -> tuple[int, int]:
    """Parse START:END for click: "128:224" -> (128, 224); a pair stays the same."""
    try:
        start, end = map(int, value.split(":") if isinstance(value, str) else value)
    except ValueError:
        raise click.BadParameter(f"{value!r} does not have the form 128:224.") from None
    return start, end
