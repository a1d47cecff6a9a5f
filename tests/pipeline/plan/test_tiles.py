"""Square tiles that cover whole images."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.plan.tiles import tile_counts, tile_windows

SIDES = st.integers(1, 70)


@given(height=SIDES, width=SIDES)
def test_tiles_cover_the_image_and_stay_inside(height: int, width: int) -> None:
    (count,) = tile_counts(np.array([height]), np.array([width])).tolist()
    numbers = np.arange(count)
    heights, widths = np.full(count, height), np.full(count, width)
    starts, sides = tile_windows(heights, widths, numbers)
    covered = np.zeros((height, width), int)
    for (top, left), side in zip(starts.tolist(), sides.tolist(), strict=True):
        assert side == min(height, width)
        assert top + side <= height and left + side <= width
        covered[top : top + side, left : left + side] += 1
    assert covered.min() >= 1
    assert count == 1 or (count - 1) * min(height, width) < max(height, width)
