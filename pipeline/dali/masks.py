"""Masks of segmentation, cropped, flipped and warped as their images are.

    bytes -> decode -> crop -> resize (nearest pixel) -> flip -> [geometric operations] -> uint8 HW1

Values are classes, so nothing interpolates them, and operations on colors and erasing do not change
masks. All of it runs on the host, which decodes PNG anyway, so that a GPU gets the same bits.
"""

import struct
import zlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import nvidia.dali.fn as fn
import nvidia.dali.types as types
from nvidia.dali.data_node import DataNode

from pipeline.arrays import Bytes
from pipeline.dali.augment_ops import warp
from pipeline.storage.manifest import VOID

# Signature, then the chunk IHDR: width, height, bit depth, color type (PNG specification, third
# edition, sections 5.2 and 11.2.1); color type 0 is gray.
_HEADER = struct.Struct(">8s4x4sIIBB")
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def mask_problem(data: Bytes, size_px: tuple[int, int]) -> str | None:
    """Why the header of an encoded mask does not fit an image of `size_px` (height, width), or
    None."""
    header = bytes(data[: _HEADER.size])
    if len(header) < _HEADER.size:
        return "its mask is cut off"
    signature, chunk, width, height, depth, color = _HEADER.unpack(header)
    if (signature, chunk, depth, color) != (_SIGNATURE, b"IHDR", 8, 0):
        return "its mask is no 8-bit gray PNG"
    if (height, width) != size_px:
        return f"its mask has {width}x{height} px, the image {size_px[1]}x{size_px[0]}"
    return None


@lru_cache(maxsize=256)
def void_mask(size_px: tuple[int, int]) -> Bytes:
    """An encoded mask of `size_px` (height, width) whose pixels are VOID: uint8 (bytes,)."""
    height, width = size_px
    rows = (b"\0" + bytes([VOID]) * width) * height  # filter 0, then the pixels
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    png = bytearray(_SIGNATURE)
    for name, data in chunks:
        png += struct.pack(">I", len(data)) + name + data
        png += struct.pack(">I", zlib.crc32(name + data))
    return np.frombuffer(png, np.uint8)


def decode_masks(encoded: DataNode) -> tuple[DataNode, DataNode]:
    """Full masks, uint8 (h, w, 1), and the highest value of each except VOID, a uint8 scalar.

    Crops would be enough for training, but then whether a mask is valid would depend on the visit.
    """
    masks: Any = fn.decoders.image(encoded, device="cpu", output_type=types.GRAY)
    return masks, fn.reductions.max(masks * (masks != types.Constant(VOID, dtype=types.UINT8)))


def fit_masks(masks: DataNode, parameters: Mapping[str, Any], operations: int) -> DataNode:
    """Full masks -> masks of the images' size, with the same crop, flip and geometric operations
    (`operations` of them); pixels from outside the image become VOID."""
    masks = fn.slice(masks, start=parameters["start"], shape=parameters["shape"], axis_names="HW")
    masks = fn.resize(
        masks,
        size=parameters["size"],
        roi_start=parameters["roi_start"],
        roi_end=parameters["roi_end"],
        interp_type=types.INTERP_NN,
        antialias=False,
    )
    masks = fn.flip(masks, horizontal=parameters["mirror"])
    for stage in range(operations):
        operation, matrix = (parameters[name][stage] for name in ("operation", "matrix"))
        masks = warp(masks, operation, matrix, fill_value=VOID)
    return masks
