"""Everything that determines the shards, and how sources are divided into shards and blocks."""

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.printable import printable
from pipeline.storage.manifest import shard_name, table_name
from tools.base import Base
from tools.download.sources import Sources
from tools.download.submission_rows import SubmissionRows
from tools.like import Like
from tools.writing.blocks import Block, BlockSettings
from tools.writing.plan import Plan

# Approximate bytes of sources in a block: sending it is cheap, and several fit into memory.
BLOCK_BYTES = 8 * 2**20
MAX_BLOCK_IMAGES = 1024
# The pixels of at least this many training images enter mean and standard deviation, so the latter
# is known to about 1 %.
MEASURED_IMAGES = 1024


@dataclass(frozen=True, kw_only=True)
class PlannedShard:
    """The shard `number` of `split`: keys [first, end)."""

    split: str
    number: int
    first: int
    end: int

    @property
    def name(self) -> str:
        return shard_name(self.split, self.number)


@dataclass(frozen=True, kw_only=True)
class ShardPlan:
    """`identity`: a hash of the download's files, from when they were indexed; `versions`: of the
    times of their last changes, where `identity` does not have the contents. `submission`: the rows
    of the sample submission that ask for sources of split test; None without one. `like`: the
    shards whose classes and normalization these have, and that they follow if it is a ``Base``;
    None for a dataset of its own."""

    identity: str
    sources: Sources
    plan: Plan
    settings: BlockSettings
    shards: tuple[PlannedShard, ...]
    submission: SubmissionRows | None = None
    like: Like | None = None
    versions: str = ""

    @property
    def base(self) -> Base | None:
        """The shards that these follow; None for a dataset of its own."""
        return self.like if isinstance(self.like, Base) else None

    def table_name(self, name: str) -> str:
        """The file of the table `name`."""
        return table_name(name, 0 if self.base is None else len(self.base.manifest.history) + 1)

    def numbers(self, split: str, keys: NDArray[np.int64]) -> NDArray[np.int64]:
        """The sources of the keys of a split."""
        return self.plan.order[self._place(split) + keys]

    def all_names(self) -> Iterator[str]:
        """The names of all sources, for people."""
        return map(printable, self.sources.names)

    def name(self, split: str, key: int) -> str:
        """The name of the source of a key, for people."""
        return printable(self.sources.names[self._number(split, key)])

    def origins(
        self, split: str, keys: NDArray[np.int64]
    ) -> tuple[list[str], list[str], list[str | None]]:
        """The names of the sources of keys, their ids as the download writes them, and their
        groups."""
        numbers, sources = self.numbers(split, keys).tolist(), self.sources
        names = [printable(sources.names[number]) for number in numbers]
        ids = names
        if sources.ids is not sources.names:
            ids = [printable(sources.id(number)) for number in numbers]
        if sources.groups is None:
            return names, ids, [None] * len(numbers)
        groups = map(sources.group_name, numbers)
        return names, ids, [group and printable(group) for group in groups]

    def blocks(self, shard: PlannedShard, folder: Path) -> Iterator[Block]:
        """The blocks of a shard, whose segments are written into a subfolder of `folder`."""
        subfolder = folder / shard.name.removesuffix(".tar")
        subfolder.mkdir()
        step = block_images(self.sources)
        for first in range(shard.first, shard.end, step):
            keys = np.arange(first, min(first + step, shard.end))
            yield self._block_of(self.numbers(shard.split, keys), first, subfolder)

    def block_count(self, shard: PlannedShard) -> int:
        return -(-(shard.end - shard.first) // block_images(self.sources))

    def sample_blocks(self, count: int, folder: Path, *, per_block: int) -> Iterator[Block]:
        """Blocks of about `count` sources, evenly spaced over the plan."""
        numbers = spread(self.plan.order, count)
        for first in range(0, len(numbers), per_block):
            yield self._block_of(numbers[first : first + per_block], first, folder)

    def fingerprint(self) -> str:
        """A hash of the download, the labels, the settings and the division into shards."""
        digest = hashlib.sha256(self.identity.encode())
        sources, plan, settings = self.sources, self.plan, asdict(self.settings)
        arrays = (plan.order, plan.labels, sources.labeled, sources.targets, sources.groups)
        for array in arrays:
            digest.update(b"" if array is None else array.tobytes())
        digest.update(b"" if self.submission is None else self.submission.digest())
        digest.update(
            repr((plan.classes, plan.class_labels, plan.bounds, settings, self.shards)).encode()
        )
        digest.update(b"" if self.like is None else self.like.fingerprint.encode())
        return digest.hexdigest()

    def _number(self, split: str, key: int) -> int:
        return int(self.plan.order[self._place(split) + key])

    def _place(self, split: str) -> int:
        """Where the key 0 of a split would be in the order."""
        _, first_key = self.base.start(split) if self.base else (0, 0)
        return self.plan.bounds[split][0] - first_key

    def _block_of(self, numbers: NDArray[np.int64], first: int, folder: Path) -> Block:
        sources = self.sources
        labeled = sources.has_label[numbers]
        return Block(
            first=first,
            images=sources.images.take(numbers),
            labeled=labeled,
            labels=self.plan.labels[numbers],
            settings=self.settings,
            folder=folder,
            targets=None if sources.targets is None else sources.targets[numbers],
            masks=None if sources.masks is None else sources.masks.take(numbers[labeled]),
        )


def spread(order: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """About `count` of `order`, evenly spaced."""
    return order[:: max(1, len(order) // count)][:count]


def plan_shards(
    bounds: dict[str, tuple[int, int]],
    sample_bytes: float,
    shard_bytes: int,
    base: Base | None = None,
) -> tuple[PlannedShard, ...]:
    """Divide each split into shards with equal numbers of samples, of about `shard_bytes` each if a
    sample takes `sample_bytes`, numbered behind those of `base`; `bounds` as in ``Plan``."""
    shards = []
    for split, (first, end) in bounds.items():
        count = end - first
        number = min(count, max(1, round(count * sample_bytes / shard_bytes)))
        edges = np.linspace(0, count, number + 1).round().astype(int).tolist()
        shard, key = base.start(split) if base else (0, 0)
        shards += [
            PlannedShard(
                split=split, number=shard + n, first=key + edges[n], end=key + edges[n + 1]
            )
            for n in range(number)
        ]
    return tuple(shards)


def measured_every(training_images: int) -> int:
    """The n for which the pixels of every n-th source are measured."""
    return max(1, training_images // MEASURED_IMAGES)


def block_images(sources: Sources) -> int:
    """Sources per block; it changes speed and memory, never the bytes."""
    columns = 0 if sources.targets is None else sources.targets.shape[1]
    target_bytes = columns * np.dtype(np.float32).itemsize
    return max(
        1, min(MAX_BLOCK_IMAGES, BLOCK_BYTES // max(1, sources.images.mean_bytes + target_bytes))
    )
