"""Encode a few images of the download before the plan is made: the cost of each way to store them,
and the size of a sample. In worker processes, since any image may kill its decoder."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tools.images.codec import Pixels
from tools.images.decoding import UnsoundImageError, decode, validate_header
from tools.images.encoding import Encoding
from tools.images.encoding_costs import Costs, measure_costs
from tools.images.guards import StderrCapture
from tools.images.headers import JPEG_START
from tools.images.image_source import Images
from tools.images.pixel_range import PixelRange, UnknownRangeError, measure_range
from tools.workers import WorkerDiedError, Workers
from tools.writing.engines import encode_blocks
from tools.writing.shard_plan import ShardPlan

SAMPLED_IMAGES = 24
# Images whose range of values is measured.
RANGE_IMAGES = 96

_Task = tuple[Images, Encoding]


def sample_costs(images: Images, encoding: Encoding, workers: Workers) -> Costs:
    """The cost of each way to store `images`, except those that kill a process."""

    def skip_killers(task: _Task) -> Costs:
        singles = ((n, images.take(np.array([n]))) for n in range(len(images)))
        numbers = [n for n, single in singles if _survives((single, encoding), workers)]
        return workers.alone(_measure, (images.take(np.array(numbers, np.int64)), encoding))

    (costs,) = workers.ordered(_measure, [(images, encoding)], rescue=skip_killers)
    return costs


def sample_range(images: Images, encoding: Encoding, workers: Workers) -> PixelRange | None:
    """The range of the pixels of those of `images` that have 16 bits, None if there are none.
    Raises ``UnknownRangeError`` if the values fit several ranges."""
    if encoding.pixel_range is not None:
        return encoding.pixel_range

    def nothing(task: _Task) -> tuple[int, int] | None:
        return None

    (extremes,) = workers.ordered(_extremes, [(images, encoding)], rescue=nothing)
    if extremes is None:
        return None
    try:
        measured = measure_range(np.array(extremes, np.uint16))
    except UnknownRangeError as error:
        raise UnknownRangeError(f"Some images have 16-bit pixels: {error.message}") from error
    return measured


def _extremes(task: _Task) -> tuple[int, int] | None:
    """The lowest and the highest pixel of 16 bits; None without any. Runs in a worker."""
    images, encoding = task
    found = []
    with StderrCapture() as stderr:
        for contents in _contents(images, encoding):
            if isinstance(contents, bytes) and not contents.startswith(JPEG_START):
                try:
                    header = validate_header(contents, encoding.max_pixels)
                    raw = decode(contents, header, stderr)
                except UnsoundImageError:
                    continue
                if raw.dtype == np.uint16:
                    found.append((int(raw.min()), int(raw.max())))
    return (min(low for low, _ in found), max(high for _, high in found)) if found else None


def sample_bytes(shard_plan: ShardPlan, workers: Workers, folder: Path) -> float:
    """Approximate bytes of tar of a sample, from a few that are encoded in `folder`."""
    per_block = -(-SAMPLED_IMAGES // workers.count)
    blocks = shard_plan.sample_blocks(SAMPLED_IMAGES, folder, per_block=per_block)
    results = list(encode_blocks(blocks, workers))
    for result in results:
        for part in result.parts:
            part.unlink()
    rows = np.concatenate([result.rows for result in results])
    mean_bytes = shard_plan.sources.images.mean_bytes
    if not len(rows):
        return float(mean_bytes)
    sample_mean = sum(result.size_bytes for result in results) / len(rows)
    return sample_mean * mean_bytes / max(1.0, float(rows["source_bytes"].mean()))


def _measure(task: _Task) -> Costs:
    images, encoding = task
    return measure_costs(_contents(images, encoding), encoding)


def _contents(images: Images, encoding: Encoding) -> Iterator[bytes | Pixels]:
    for _, contents in images.load(encoding.max_bytes):
        if not isinstance(contents, str):
            yield contents


def _survives(task: _Task, workers: Workers) -> bool:
    try:
        workers.alone(_measure, task)
    except WorkerDiedError:
        return False
    return True
