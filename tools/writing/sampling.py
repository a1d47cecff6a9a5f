"""A few images of the download, looked at before the plan is made: what each way of storing costs,
and how large a sample becomes. In worker processes, since any image may kill its decoder."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tools.images.codec import Pixels
from tools.images.encoding import Encoding
from tools.images.encoding_costs import Costs, measure_costs
from tools.images.image_source import Images
from tools.workers import WorkerDiedError, Workers
from tools.writing.block_encoding import encode_block
from tools.writing.engines import rescue
from tools.writing.shard_plan import ShardPlan

SAMPLED_IMAGES = 24

Sampled = tuple[Images, Encoding]


def sample_costs(images: Images, encoding: Encoding, workers: Workers) -> Costs:
    """What each way of storing costs on `images`, those that kill a process left out."""

    def without_deadly(task: Sampled) -> Costs:
        numbers = [n for n in range(len(images)) if _lives(_one(images, n), encoding, workers)]
        return workers.alone(_cost_of, (images.take(np.array(numbers, np.int64)), encoding))

    (costs,) = workers.ordered(_cost_of, [(images, encoding)], rescue=without_deadly)
    return costs


def sample_bytes(shard_plan: ShardPlan, workers: Workers, folder: Path) -> float:
    """About how many bytes of tar a sample takes, by some that are encoded in `folder`."""
    share = -(-SAMPLED_IMAGES // workers.count)
    blocks = shard_plan.sample_blocks(SAMPLED_IMAGES, folder, per_block=share)
    results = list(
        workers.ordered(encode_block, blocks, rescue=lambda block: rescue(block, workers))
    )
    for result in results:
        for part in result.parts:
            part.unlink()
    rows = np.concatenate([result.rows for result in results])
    if not len(rows):
        return float(shard_plan.sources.images.mean_bytes)
    mean = sum(result.size_bytes for result in results) / len(rows)
    return (
        mean * shard_plan.sources.images.mean_bytes / max(1.0, float(rows["source_bytes"].mean()))
    )


def _cost_of(task: Sampled) -> Costs:
    images, encoding = task
    return measure_costs(_contents(images, encoding), encoding)


def _contents(images: Images, encoding: Encoding) -> Iterator[bytes | Pixels]:
    for _, contents in images.load(encoding.max_bytes):
        if not isinstance(contents, str):
            yield contents


def _one(images: Images, number: int) -> Images:
    return images.take(np.array([number]))


def _lives(image: Images, encoding: Encoding, workers: Workers) -> bool:
    try:
        workers.alone(_cost_of, (image, encoding))
    except WorkerDiedError:
        return False
    return True
