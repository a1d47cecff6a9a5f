"""Square tiles that cover whole images, for predictions of each pixel. Pure functions."""

from functools import partial

import numpy as np

from pipeline.arrays import Integers
from pipeline.plan.augment import Parameters
from pipeline.plan.plan import Plan, image_sizes_px
from pipeline.storage.dataset import SplitIndex


def tile_counts(heights: Integers, widths: Integers) -> Integers:
    """The fewest squares of the shorter side that cover an image, int64 (B,)."""
    return -(-np.maximum(heights, widths) // np.minimum(heights, widths))


def tile_windows(heights: Integers, widths: Integers, tiles: Integers) -> tuple[Integers, Integers]:
    """(start, side): int64 (B, 2), the first row and column of tile number `tiles` (B,) of an
    image in px, and int64 (B,), its side. The tiles are evenly spaced over the longer side."""
    shape = np.stack([heights, widths], axis=1)
    gaps = np.maximum(tile_counts(heights, widths) - 1, 1)[:, None]
    side = shape.min(axis=1)
    return (shape - side[:, None]) * tiles[:, None] // gaps, side


def tile_plan(index: SplitIndex, image_size_px: int, share: Integers, *, batch_size: int) -> Plan:
    """Plan the batches of all tiles of `share`, rows of the split; a visit is the number of the
    tile. Each tile is resized to `image_size_px`."""
    counts = tile_counts(*image_sizes_px(index, share))
    samples = np.repeat(share, counts)
    tiles = np.arange(len(samples)) - np.repeat(np.cumsum(counts) - counts, counts)

    def visit(steps: range) -> tuple[Integers, Integers]:
        part = slice(steps.start * batch_size, steps.stop * batch_size)
        return tiles[part], samples[part]

    return Plan(
        visit=visit,
        draw_parameters=partial(_parameters, index),
        image_size_at=lambda step: image_size_px,
        replacements_count=False,
        steps=-(-len(samples) // batch_size),
        seed=0,
    )


def _parameters(
    index: SplitIndex, tiles: Integers, samples: Integers, image_size_px: int
) -> Parameters:
    heights, widths = image_sizes_px(index, samples)
    start, side = tile_windows(heights, widths, tiles)
    shape = np.stack([heights, widths], axis=1)
    return Parameters(
        start=np.zeros_like(shape, np.int32),
        shape=shape.astype(np.int32),
        roi_start=start.astype(np.float32),
        roi_end=(start + side[:, None]).astype(np.float32),
        size=np.full_like(shape, image_size_px, np.float32),
        mirror=np.zeros(len(shape), np.int32),
    )
