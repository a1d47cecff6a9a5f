"""One run: the plan's blocks through the workers into the shards of every split."""

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

import numpy as np

from pipeline.dataset import IMAGE_COMPONENTS, Manifest, Split
from pipeline.errors import DataError
from tools.blocks import (
    Block,
    BlockResult,
    Images,
    encode_block,
    merge,
    nothing,
)
from tools.config import ShardConfig
from tools.directory import OutputDirectory
from tools.narration import Advance
from tools.plan import Plan
from tools.sources import Sources
from tools.tally import Tally, spread
from tools.words import plural
from tools.workers import WorkerDiedError, Workers
from tools.writer import SplitWriter

# Bytes of sources in a block, about: enough to make sending it cheap, few enough to keep several.
BLOCK_BYTES = 2 * 2**20
MAX_BLOCK_IMAGES = 512


class Run:
    """Writes the samples of `plan` into `directory`; `tally` counts them on the way."""

    def __init__(
        self, config: ShardConfig, sources: Sources, plan: Plan, directory: OutputDirectory
    ) -> None:
        self.tally = Tally()
        self._config, self._sources, self._plan = config, sources, plan
        self._directory = directory
        self._rejected = list(sources.rejected)
        self._block_images = block_images(sources.images)
        self._encoding = config.encoding

    def write(self, workers: Workers, advance: Advance) -> Manifest:
        """Write all splits; raises ``DataError`` where too many sources are rejected or no sample
        is left to train on. The list of rejected sources is written in any case."""
        self._check_rejected()
        splits = {name: self._write_split(name, workers, advance) for name in self._plan.bounds}
        self._directory.write_rejected(self._rejected)
        if "train" not in splits or not splits["train"].samples:
            raise DataError(
                f"{self._config.src}: no sample is left to train on; see the reasons in "
                f"{self._directory.path}."
            )
        mean, std = self.tally.mean_and_std()
        return Manifest(
            task="classification",
            classes=self._plan.classes,
            targets=(),
            splits={name: split for name, split in splits.items() if split.samples},
            image_components=tuple(IMAGE_COMPONENTS[n] for n in sorted(self.tally.components)),
            mean=mean,
            std=std,
            heights=spread(self.tally.heights),
            widths=spread(self.tally.widths),
            rejected=len(self._rejected),
            made_by={"tool": f"shardline {_version()}", "arguments": self._config.shaping},
        )

    def _write_split(self, split: str, workers: Workers, advance: Advance) -> Split:
        plan = self._plan
        counts = np.zeros(len(plan.classes), np.int64)
        with SplitWriter(
            self._directory.building,
            split,
            digits=len(str(len(plan.classes) - 1)),
            shard_bytes=self._config.shard_bytes,
        ) as writer:
            blocks = self._blocks(*plan.bounds[split])
            results = workers.ordered(
                encode_block, blocks, rescue=lambda block: rescue(block, workers)
            )
            for result in results:
                numbers = plan.order[result.rows["place"]]
                labels = plan.labels[numbers]
                names = [self._sources.names[n] for n in numbers.tolist()]
                writer.append(result.images, result.rows, labels, names)
                counts += np.bincount(labels, minlength=len(counts))
                self.tally.add(result.rows, training=split == "train")
                self._reject(result)
                advance(len(result.images) + len(result.rejected))
            shards = writer.finish()
        return Split(shards=shards, class_counts=tuple(counts.tolist()))

    def _blocks(self, first: int, end: int) -> Iterator[Block]:
        for start in range(first, end, self._block_images):
            numbers = self._plan.order[start : min(start + self._block_images, end)]
            images = self._sources.images.take(numbers)
            yield Block(first=start, images=images, encoding=self._encoding)

    def _reject(self, result: BlockResult) -> None:
        if result.rejected:
            self._rejected += [
                (self._sources.names[self._plan.order[place]], reason)
                for place, reason in result.rejected
            ]
            self._check_rejected()

    def _check_rejected(self) -> None:
        total = len(self._sources) + len(self._sources.rejected)
        if len(self._rejected) <= self._config.max_rejected * total:
            return
        path = self._directory.write_rejected(self._rejected)
        first = "".join(f"\n  {source}: {reason}" for source, reason in self._rejected[:3])
        raise DataError(
            f"At least {plural(len(self._rejected), 'source')} of {total:,} unusable, more than "
            f"--max-rejected {self._config.max_rejected}: stopped, no dataset was written. The "
            f"list so far is in {path}; it begins:{first}\nRepair them, or go on without them by "
            f"a higher --max-rejected (1: however many there are)."
        )


def block_images(images: Images) -> int:
    """How many images make a block; it changes speed and memory, never the bytes."""
    return max(1, min(MAX_BLOCK_IMAGES, BLOCK_BYTES // max(1, images.mean_bytes)))


def rescue(block: Block, workers: Workers) -> BlockResult:
    """The result of a block during which processes died: the image that kills is found by halving,
    each part in a process of its own."""
    try:
        return workers.alone(encode_block, block)
    except WorkerDiedError:
        if len(block.images) == 1:
            return nothing(block, "decoding it kills the process")
    return merge([rescue(half, workers) for half in block.halves()])


def _version() -> str:
    try:
        return version("shardline")
    except PackageNotFoundError:
        return "(not installed)"
