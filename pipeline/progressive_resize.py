"""Progressive resizing: the side of the training images as a function of the position.

Small images first make the early epochs cheap (Howard 2018, the fast.ai DAWNBench entry). A size
changes between two epochs only, so that all ranks and a resumed run change at the same step.
"""

from collections.abc import Callable
from typing import Any

import click

from pipeline.errors import MisuseError

# position -> side in px
ImageSize = Callable[[int], int]

# Sizes are multiples of what the strides of common networks divide.
STEP_PX = 32


def progressive_size(start_px: int, end_px: int, *, epochs: int, epoch_positions: int) -> ImageSize:
    """From `start_px` in epoch 0 evenly to `end_px` in epoch `epochs`, rounded down to 32 px."""

    def at(position: int) -> int:
        epoch = min(position // epoch_positions, epochs)
        return (start_px + (end_px - start_px) * epoch // epochs) // STEP_PX * STEP_PX

    return at


def check_progressive(start_px: int, end_px: int) -> None:
    """Raise ``MisuseError`` for sizes that can't be come to."""
    if start_px < STEP_PX or start_px % STEP_PX or end_px < STEP_PX or end_px % STEP_PX:
        raise MisuseError(
            f"--progressive-resize takes multiples of {STEP_PX} px, not {start_px}:{end_px}."
        )


class StartEnd(click.ParamType[tuple[int, int]]):
    """START:END on the command line, (start, end) in Python."""

    name = "START:END"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        if not isinstance(value, str):
            start, end = value
            return start, end
        try:
            start, end = map(int, value.split(":"))
        except ValueError:
            self.fail(f"{value!r} isn't of the form 128:224.", param, ctx)
        return start, end
