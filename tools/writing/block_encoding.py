"""Encode a block. Runs in a worker process."""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from pipeline.storage.manifest import IMAGE_COMPONENTS
from tools.images.codec import (
    STORED_BYTES,
    Encoded,
    Pixels,
    UnsoundImageError,
    channel_sums,
    counted_rows,
    encode_file,
    encode_pixels,
    psnr_decibel,
)
from tools.images.decoding import upright_size, validate_header
from tools.images.encoding import SMALL_PX
from tools.images.guards import StderrCapture
from tools.images.kept_memory import keep_freed_memory
from tools.images.masks import encode_mask
from tools.images.stored_content import content_crc32, perceptual_hash
from tools.images.uncompressed_pngs import stored_pngs
from tools.pixel_tables.spool import SpooledPixels
from tools.workers import time_limit
from tools.writing.blocks import RESULT_DTYPE, Block, BlockResult, BlockSettings
from tools.writing.tar import BLOCK_BYTES, equal_members
from tools.writing.tar_segment import Sample, build_segment, count_classes, payloads

# PSNR is measured on every 256th planned source: it costs a decode.
PSNR_EVERY = 256
# A decoder that takes longer is stuck.
IMAGE_SECONDS = 60


def encode_block(block: Block) -> BlockResult:
    """Encode the images of a block into a segment of a tar."""
    if _is_small(block):
        return _encode_small(block)
    samples: list[Sample] = []
    rejected = []
    with StderrCapture() as stderr:
        for key, size_bytes, image, mask in _load(block):
            try:
                with time_limit(IMAGE_SECONDS):
                    sample = _encode(key, size_bytes, image, mask, block.settings, stderr)
                samples.append(sample)
            except UnsoundImageError as error:
                rejected.append((key, str(error)))
    segment, rows = build_segment(block, samples)
    mask_classes = [sample.mask_classes for sample in samples]
    return _result(block, segment, rows, rejected, count_classes(block, rows["key"], mask_classes))


def source_checksums(block: Block) -> NDArray[np.uint32]:
    """The field source_crc32 of each source of a block, read again: uint32 (n,)."""
    return np.array([_checksum(image, mask) for _, _, image, mask in _load(block)], np.uint32)


def _checksum(image: bytes | Pixels | str, mask: bytes | str | None) -> int:
    data = np.ascontiguousarray(image).data if isinstance(image, np.ndarray) else image
    crc32 = 0 if isinstance(data, str) else isal_zlib.crc32(data)
    return isal_zlib.crc32(mask, crc32) if isinstance(mask, bytes) else crc32


def _is_small(block: Block) -> bool:
    """Whether all images are pixels of one size that become PNGs without compression."""
    images, encoding = block.images, block.settings.encoding
    if not isinstance(images, SpooledPixels) or block.masks is not None:
        return False
    size = images.shape[0], images.shape[1]
    unchanged = encoding.size(*size) == size and size[0] <= SMALL_PX
    is_png = encoding.component(*size, source_format="") == "png"
    return unchanged and is_png and images.mean_bytes <= STORED_BYTES


def _encode_small(block: Block) -> BlockResult:
    """The same result as for one image after the other, in a fifth of the time."""
    assert isinstance(block.images, SpooledPixels)
    pixels = block.images.stack()
    keys = block.first + np.arange(len(pixels))
    contents, pngs = payloads(block, keys), stored_pngs(pixels)
    targets = equal_members(keys, block.settings.target, contents)
    images = equal_members(keys, "png", pngs)
    segment, labeled = np.concatenate([targets, images], axis=1), block.labeled
    if not labeled.all():
        stored = np.ones(segment.shape, np.bool_)
        stored[~labeled, : targets.shape[1]] = False
        segment = segment[stored]
    target_bytes = labeled * targets.shape[1]
    starts = np.cumsum(target_bytes + images.shape[1]) - target_bytes - images.shape[1]
    rows = np.zeros(len(keys), RESULT_DTYPE)
    rows["key"], rows["label"] = keys, block.labels
    rows["component"] = IMAGE_COMPONENTS.index("png")
    rows["target_offset"] = labeled * (starts + BLOCK_BYTES)
    rows["offset"] = starts + target_bytes + BLOCK_BYTES
    rows["target_size"], rows["size"] = labeled * contents.shape[1], pngs.shape[1]
    rows["crc32"] = [isal_zlib.crc32(png.data) for png in pngs]
    rows["source_crc32"] = [
        _checksum(image if image.ndim == 2 else image[:, :, ::-1], None) for image in pixels
    ]
    # Both are of all bytes of such small images.
    rows["content_crc32"] = rows["source_crc32"]
    if block.settings.perceptual:
        in_bgr = pixels if pixels.ndim == 3 else pixels[..., ::-1]
        rows["perceptual_hash"] = [perceptual_hash(np.ascontiguousarray(one)) for one in in_bgr]
    rows["source_bytes"], rows["psnr"] = pixels[0].nbytes, np.nan
    rows["height"], rows["width"] = pixels.shape[1:3]
    measured = np.flatnonzero(keys % block.settings.measured_every == 0)
    values = pixels[measured].astype(np.uint32)
    for name, table in (("sums", values), ("squares", values**2)):
        sums = table.sum(axis=(1, 2))
        rows[name][measured] = sums if sums.ndim == 2 else sums[:, None]
    rows["counted"][measured] = pixels.shape[1] * pixels.shape[2]
    return _result(block, segment.data, rows, [], count_classes(block, keys))


def _result(
    block: Block,
    segment: bytes | memoryview,
    rows: NDArray[np.void],
    rejected: Sequence[tuple[int, str]],
    class_counts: NDArray[np.int64],
) -> BlockResult:
    part = block.folder / f"{block.first:09d}.part"
    part.write_bytes(segment)
    return BlockResult(
        rows=rows,
        parts=(part,),
        size_bytes=memoryview(segment).nbytes,
        rejected=tuple(rejected),
        class_counts=class_counts,
    )


def prepare_worker() -> None:
    """Use one thread in each process, as there are as many processes as cores, and the memory of
    one image for the next."""
    cv2.setNumThreads(0)
    keep_freed_memory()


def _load(block: Block) -> Iterator[tuple[int, int, bytes | Pixels | str, bytes | str | None]]:
    """Key, size in bytes, image and mask of each source; None for one without a mask."""
    max_bytes = block.settings.encoding.max_bytes
    masks = iter(()) if block.masks is None else block.masks.load(max_bytes)
    pairs = zip(block.images.load(max_bytes), block.labeled.tolist(), strict=True)
    for key, ((size_bytes, image), labeled) in enumerate(pairs, start=block.first):
        mask = None
        if block.masks is not None and labeled:
            _, mask = next(masks)
        assert not isinstance(mask, np.ndarray)
        yield key, size_bytes, image, mask


def _encode(
    key: int,
    source_bytes: int,
    image: bytes | Pixels | str,
    mask: bytes | str | None,
    settings: BlockSettings,
    stderr: StderrCapture,
) -> Sample:
    """Encode a source; raises ``UnsoundImageError``."""
    if isinstance(image, str):
        raise UnsoundImageError(image)
    if isinstance(image, bytes):
        in_full = key % settings.measured_every == 0 or settings.perceptual
        encoded = encode_file(image, settings.encoding, stderr, in_full=in_full)
    else:
        encoded = encode_pixels(image, settings.encoding)
    content = content_crc32(encoded.component, encoded.data, encoded.pixels)
    similar = 0
    if settings.perceptual and encoded.pixels is not None:
        similar = perceptual_hash(encoded.pixels)
    checksums = (_checksum(image, mask), content, similar)
    facts = (*_facts(key, source_bytes, encoded, settings), *checksums)
    if settings.mask_colors is None or mask is None:
        return Sample(key, encoded.component, encoded.data, facts)
    assert isinstance(image, bytes)
    size = upright_size(validate_header(image, settings.encoding.max_pixels))
    stored_size = (encoded.height, encoded.width)
    try:
        if not isinstance(mask, bytes):
            raise UnsoundImageError(mask)
        data, indices = encode_mask(
            mask, settings.mask_colors, size, stderr, stored_size=stored_size
        )
    except UnsoundImageError as error:
        raise UnsoundImageError(f"its mask: {error}") from error
    return Sample(key, encoded.component, encoded.data, facts, data, np.unique(indices).tolist())


def _facts(
    key: int, source_bytes: int, encoded: Encoded, settings: BlockSettings
) -> tuple[object, ...]:
    """The fields of RESULT_DTYPE from source_bytes to squares."""
    counted, sums, squares = 0, [0] * 3, [0] * 3
    if encoded.pixels is not None and key % settings.measured_every == 0:
        pixels = counted_rows(encoded.pixels)
        counted = pixels.shape[0] * pixels.shape[1]
        sums, squares = channel_sums(pixels)
    measured = encoded.lossy and key % PSNR_EVERY == 0
    psnr = psnr_decibel(encoded) if measured else np.nan
    size = (encoded.height, encoded.width)
    return source_bytes, *size, encoded.lossy, psnr, counted, sums, squares
