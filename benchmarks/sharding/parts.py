"""The parts of the sharding benchmark, by name."""

from collections.abc import Callable
from functools import partial

from benchmarks.datasets.downloads import make_pixel_csv, make_small_pngs
from benchmarks.sharding.comparisons import (
    Setup,
    header,
    keep,
    memory,
    pixels,
    pngs,
    reencode,
    shrink,
    small,
    workers,
)
from benchmarks.sharding.duplicates import duplicates

PARTS: dict[str, Callable[[Setup], None]] = {
    "reencode": reencode,
    "shrink": shrink,
    "pngs": pngs,
    "workers": workers,
    "keep": keep,
    "header": header,
    "small": small,
    "pixels": pixels,
    "duplicates": duplicates,
    "memory-files": partial(memory, unit="PNG files", make=make_small_pngs),
    "memory-rows": partial(memory, unit="rows of a CSV", make=make_pixel_csv),
}
