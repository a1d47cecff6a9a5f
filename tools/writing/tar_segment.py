"""Concatenate encoded samples to a segment of a tar, with a row of facts for each."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from pipeline.storage.manifest import IMAGE_COMPONENTS
from tools.download.label_sets import as_sets, as_table
from tools.writing.blocks import RESULT_DTYPE, Block
from tools.writing.tar import (
    BLOCK_BYTES,
    equal_members,
    label_payloads,
    member_headers,
    npy_payloads,
    padding,
)


class Sample(NamedTuple):
    """The bytes of an image and its mask (empty if it has none), the classes in the mask, and in
    `facts` the fields of RESULT_DTYPE from source_bytes on. No pixels: those of a block would not
    fit the CPU's cache."""

    key: int
    component: str
    data: bytes
    facts: tuple[object, ...]
    mask: bytes = b""
    mask_classes: Sequence[int] = ()


def build_segment(block: Block, samples: Sequence[Sample]) -> tuple[bytes, NDArray[np.void]]:
    """The bytes of the segment, and RESULT_DTYPE rows."""
    if not samples:
        return b"", np.empty(0, RESULT_DTYPE)
    keys = np.array([sample.key for sample in samples], np.int64)
    sizes = np.array([len(sample.data) for sample in samples], np.int64)
    headers = member_headers(keys, sizes, [sample.component for sample in samples])
    targets = _target_members(block, samples, keys)
    pieces: list[bytes | memoryview] = []
    rows, start = [], 0
    labeled = block.labeled[keys - block.first]
    for sample, target, header in zip(samples, targets, headers, strict=True):
        members = (target, header.data, sample.data, padding(len(sample.data)))
        pieces += members
        offset = start + len(target) + BLOCK_BYTES
        rows.append(_row(sample, start + BLOCK_BYTES if len(target) else 0, offset))
        start += sum(map(len, members))
    table = np.array(rows, RESULT_DTYPE)
    table["label"] = block.labels[keys - block.first]
    if block.masks is None:
        table["target_size"] = labeled * payloads(block, keys).shape[1]
    return b"".join(pieces), table


def _target_members(
    block: Block, samples: Sequence[Sample], keys: NDArray[np.int64]
) -> Sequence[bytes | memoryview]:
    """For each sample the whole member before its image, empty if it has no label."""
    target, labeled = block.settings.target, block.labeled[keys - block.first].tolist()
    if block.masks is None:
        members = equal_members(keys, target, payloads(block, keys))
        return [row.data if has else b"" for row, has in zip(members, labeled, strict=True)]
    masks = [sample.mask for sample in samples]
    sizes = np.array([len(mask) for mask in masks], np.int64)
    headers = member_headers(keys, sizes, [target] * len(masks))
    return [
        header.tobytes() + mask + padding(len(mask)) if mask else b""
        for header, mask in zip(headers, masks, strict=True)
    ]


def payloads(block: Block, keys: NDArray[np.int64]) -> NDArray[np.uint8]:
    """The contents of the targets of `keys`, except masks: uint8 (n, bytes); any bytes for a sample
    without a label."""
    rows = keys - block.first
    if block.targets is not None:
        return npy_payloads(as_table(block.targets[rows]))
    return label_payloads(block.labels[rows], block.settings.digits)


def count_classes(
    block: Block, keys: NDArray[np.int64], mask_classes: Sequence[Sequence[int]] = ()
) -> NDArray[np.int64]:
    """Samples of `keys` that show each class, int64 (classes,); `mask_classes`: those in each
    mask."""
    classes, rows = block.settings.classes, keys - block.first
    if block.masks is not None:
        indices = [index for some in mask_classes for index in some if index < classes]
        return np.bincount(np.array(indices, np.int64), minlength=classes)
    if block.targets is None:
        labels = block.labels[rows]
        return np.bincount(labels[labels >= 0], minlength=classes)
    if classes:
        return np.bincount(as_sets(block.targets[rows]).columns, minlength=classes)
    return np.zeros(0, np.int64)


def _row(sample: Sample, target_offset: int, offset: int) -> tuple[object, ...]:
    return (
        sample.key,
        IMAGE_COMPONENTS.index(sample.component),
        -1,
        offset,
        len(sample.data),
        isal_zlib.crc32(sample.data),
        target_offset,
        len(sample.mask),
        isal_zlib.crc32(sample.mask),
        *sample.facts,
    )
