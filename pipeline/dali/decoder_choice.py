"""How images are decoded: regions or whole images, and with how much memory in advance."""

from functools import cache
from importlib.metadata import distributions
from typing import Any, NamedTuple

import numpy as np
import nvidia.dali.types as types

from pipeline.arrays import Integers

Version = tuple[int, ...]

# nvImageCodec leaves a region of a JPEG with subsampled chroma to the CPU if nvJPEG is older than
# this and chroma is interpolated, since the outermost pixel might be wrong (its option
# enable_roi_fancy_upsampling, which DALI does not set).
EXACT_REGIONS_NVJPEG: Version = (13, 2)
# The first release in which decoding regions on a GPU neither fails nor crashes, which 0.9.0 does
# (https://github.com/NVIDIA/nvImageCodec/issues/55, open); None as long as there is none.
MENDED_REGIONS_NVIMGCODEC: Version | None = None

# The share of images that fit into the memory that is allocated in advance. A larger one allocates
# more when it comes.
HINTED_SHARE = 0.99
# At most this side is allocated in advance.
HINTED_PX = 4096
# DALI's default of device_memory_padding.
DALI_PADDING_BYTES = 2**24

_PACKAGES = {
    "nvidia-nvjpeg": "nvjpeg",
    "nvidia-nvjpeg-cu12": "nvjpeg",
    "nvidia-nvimgcodec-cu12": "nvimgcodec",
    "nvidia-nvimgcodec-cu13": "nvimgcodec",
}


class Libraries(NamedTuple):
    """Versions of the libraries that decode, the oldest if several are installed; () if unknown."""

    nvjpeg: Version
    nvimgcodec: Version


def decodes_regions(
    device_id: int | None, libraries: Libraries, mended: Version | None = MENDED_REGIONS_NVIMGCODEC
) -> bool:
    """Whether the decoder gets the crop's region, instead of decoding the whole image.

    On a CPU (`device_id` None) this saves time and gives the same bits. On a GPU it needs an nvJPEG
    of at least EXACT_REGIONS_NVJPEG, or the CPU would decode, and an nvImageCodec of at least
    `mended`. Sampling does not count: one shard may have JPEGs of several.
    """
    if device_id is None:
        return True
    is_mended = mended is not None and libraries.nvimgcodec >= mended
    return is_mended and libraries.nvjpeg >= EXACT_REGIONS_NVJPEG


@cache
def installed_libraries() -> Libraries:
    """The versions of the installed packages."""
    found: dict[str, list[Version]] = {}
    for package in distributions():
        name = str(package.metadata["Name"]).lower().replace("_", "-")
        if name in _PACKAGES:
            parts = package.version.split(".")
            number = tuple(int(part) for part in parts if part.isdigit())
            found.setdefault(_PACKAGES[name], []).append(number)
    return Libraries(*(min(found.get(name, [()])) for name in Libraries._fields))


def size_hint(heights: Integers, widths: Integers) -> tuple[int, int]:
    """(height, width) in px for which the GPU's decoders allocate memory in advance: HINTED_SHARE
    of the images are at most so high, and so wide; (0, 0) without images.

    `heights` and `widths` are those of the images in px, (N,) each.
    """
    if not len(heights):
        return 0, 0
    height, width = (
        min(int(np.quantile(sides, HINTED_SHARE, method="higher")), HINTED_PX)
        for sides in (heights, widths)
    )
    return height, width


def decoder_arguments(
    device_id: int | None, hw_decoder_load: float, hint_px: tuple[int, int]
) -> dict[str, Any]:
    """Arguments of every decoder of images; `hint_px` is ``size_hint``."""
    height, width = hint_px
    # The hardware decoder allocates a batch of images of the hinted size.
    hinted = hint_px if hw_decoder_load else (0, 0)
    return {
        "device": "cpu" if device_id is None else "mixed",
        "output_type": types.RGB,
        "hw_decoder_load": hw_decoder_load,
        "jpeg_fancy_upsampling": True,  # as libjpeg-turbo on the CPU does
        "preallocate_height_hint": hinted[0],
        "preallocate_width_hint": hinted[1],
        # For each thread.
        "device_memory_padding": max(height * width * 3, DALI_PADDING_BYTES),
    }
