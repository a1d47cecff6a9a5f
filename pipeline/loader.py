"""Loaders: iterables of batches whose only state is a position.

``train_loader``, ``val_loader`` and ``synthetic_loader`` make a ``Loader``; whoever takes batches
can't tell them apart.
"""

import math
from collections.abc import Callable, Generator, Iterator
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.bad_samples import BadSamples
from pipeline.cache import GIB
from pipeline.config import PipelineConfig, image_size, resolve_sizes
from pipeline.dataset import Dataset, SplitIndex
from pipeline.decoding import Batch, Source, decoded_batches, graph_config
from pipeline.epochs import Epochs
from pipeline.errors import DataError
from pipeline.kept import choose_kept
from pipeline.plan import Plan, train_plan, val_plan
from pipeline.ranks import per_rank_batch_size, validation_samples
from pipeline.telling import tell

__all__ = [
    "SYNTHETIC_FINGERPRINT",
    "Batch",
    "Loader",
    "synthetic_loader",
    "train_loader",
    "val_loader",
]


SYNTHETIC_FINGERPRINT = "synthetic"
# As many as ImageNet's training split has.
SYNTHETIC_SAMPLES = 1_281_167


class Loader:
    """An iterable of batches whose only state is a position in the stream of samples.

    An iteration begins at the position; leaving it frees its threads and files, ``close`` also the
    images that are kept.

    Args:
        batches: makes the batches from a position on.
        steps: how many batches that makes; None if there is no end.
        advance: positions that a batch moves on, over all ranks; 0 for a loader that starts over
            at each iteration.
        samples: positions in an epoch.
        fingerprint: of the dataset that the position belongs to.
        source: where bad samples are remembered and images kept; None if the batches have none.
    """

    def __init__(
        self,
        batches: Callable[[int], Generator[Batch]],
        *,
        steps: Callable[[int], int | None],
        advance: int,
        samples: int,
        seed: int,
        fingerprint: str,
        position: int = 0,
        source: Source | None = None,
    ) -> None:
        self._batches, self._steps, self._source = batches, steps, source
        self._advance, self._samples = advance, samples
        self._seed, self._fingerprint, self._position = seed, fingerprint, position
        self._running: Generator[Batch] | None = None

    @property
    def position(self) -> int:
        """Behind the last batch taken."""
        return self._position

    def __iter__(self) -> Iterator[Batch]:
        self._stop()
        running = self._running = self._batches(self._position)
        try:
            for batch in running:
                self._position += self._advance
                yield batch
        finally:
            running.close()

    def __len__(self) -> int:
        """Batches that an iteration gives now; ``TypeError`` if there is no end."""
        steps = self._steps(self._position)
        if steps is None:
            raise TypeError("These batches have no end: give an end_position, or use by_epoch().")
        return steps

    def by_epoch(self) -> Epochs:
        """The same batches, where an iteration ends with the epoch."""
        return Epochs(self, self._samples, self._advance)

    def bad_samples(self) -> list[tuple[str, str]]:
        """(sample, reason) of each bad sample met so far, in whose place others came."""
        return [] if self._source is None else self._source.bad.describe()

    def state_dict(self) -> dict[str, Any]:
        """Seed, position behind the last batch taken, and the dataset that they belong to."""
        return {
            "seed": self._seed,
            "position": self._position,
            "fingerprint": self._fingerprint,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Let the next iteration go on from a ``state_dict``, made at any world size.

        Raises ``DataError`` if it belongs to another dataset or seed.
        """
        for name, own in (("fingerprint", self._fingerprint), ("seed", self._seed)):
            if state[name] != own:
                raise DataError(
                    f"The saved position belongs to {name} {state[name]}, these batches have "
                    f"{own}: resume with the shards and the --seed that it was saved with."
                )
        self._stop()
        self._position = state["position"]

    def close(self) -> None:
        """Free everything; an iteration begun later starts anew."""
        self._stop()
        if self._source is not None and self._source.kept is not None:
            self._source.kept.clear()

    def _stop(self) -> None:
        if self._running is not None:
            self._running.close()
            self._running = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def train_loader(
    dataset: Dataset,
    config: PipelineConfig,
    *,
    global_batch_size: int,
    device: torch.device,
    rank: int = 0,
    world_size: int = 1,
    position: int = 0,
    end_position: int | None = None,
    split: str = "train",
) -> Loader:
    """Shuffled and augmented batches from `position` on, endless if `end_position` is None.

    Each step takes `global_batch_size` positions, of which this rank gets an equal slice;
    ``MisuseError`` if there is none.
    """
    batch_size = per_rank_batch_size(global_batch_size, world_size)
    index = _opened(dataset, split)
    if rank == 0 and config.shuffle == "global":
        _warn_of_thrashing(index)
    source = _source(
        dataset, config, index, np.arange(len(index)), device, batch_size, rank, training=True
    )
    samples = len(index) * config.repeats
    image_size_at = image_size(config, dataset.manifest, epoch_positions=samples)

    def plan(start: int) -> Plan:
        return train_plan(
            index,
            config,
            image_size_at,
            start=start,
            end=end_position,
            global_batch_size=global_batch_size,
            rank=rank,
            world_size=world_size,
        )

    return Loader(
        lambda start: decoded_batches(source, plan(start)),
        steps=lambda start: plan(start).steps,
        source=source,
        advance=global_batch_size,
        samples=samples,
        seed=config.seed,
        fingerprint=dataset.fingerprint,
        position=position,
    )


def val_loader(
    dataset: Dataset,
    config: PipelineConfig,
    *,
    batch_size: int,
    device: torch.device,
    rank: int = 0,
    world_size: int = 1,
    split: str = "val",
) -> Loader:
    """Each iteration gives every sample of the split exactly once over all ranks.

    The last batch may be smaller, and ranks may have different numbers of batches.
    """
    index = _opened(dataset, split)
    share = validation_samples(samples=len(index), rank=rank, world_size=world_size)
    source = _source(dataset, config, index, share, device, batch_size, rank, training=False)
    plan = val_plan(
        index,
        resolve_sizes(config, dataset.manifest),
        batch_size=batch_size,
        rank=rank,
        world_size=world_size,
    )
    return Loader(
        lambda _: decoded_batches(source, plan),
        steps=lambda _: plan.steps,
        source=source,
        advance=0,
        samples=len(index),
        seed=config.seed,
        fingerprint=dataset.fingerprint,
    )


def _opened(dataset: Dataset, split: str) -> SplitIndex:
    dataset.require("classification")
    index = dataset.split(split)
    _ = index.samples  # fetched and checked now, not when the first batch is waited for
    return index


def _warn_of_thrashing(index: SplitIndex) -> None:
    total = sum(shard.bytes for shard in index.split.shards)
    if index.cache is not None and total > index.cache.limit_bytes:
        tell(
            f"The shards of {index.name} take {total / GIB:.2g} GiB, --cache-size allows "
            f"{index.cache.limit_bytes / GIB:.2g} GiB: under --shuffle global each batch fetches "
            f"shards anew. Give --shuffle window, or a larger --cache-size."
        )


def _source(
    dataset: Dataset,
    config: PipelineConfig,
    index: SplitIndex,
    samples: NDArray[np.int64],
    device: torch.device,
    batch_size: int,
    rank: int,
    *,
    training: bool,
) -> Source:
    """What iterations over `samples` of a split share."""
    kept = choose_kept(config.cache, index, samples, device, rank=rank)
    return Source(
        index=index,
        graph=graph_config(
            dataset,
            config,
            device,
            batch_size,
            training=training,
            decoded=None if kept is None else "device" if kept.on_device else "host",
        ),
        config=config,
        device=device,
        bad=BadSamples(index, math.ceil(config.max_bad * len(index))),
        kept=kept,
        rank=rank,
    )


def synthetic_loader(
    *,
    batch_size: int,
    image_size: int,
    classes: int,
    device: torch.device,
    world_size: int = 1,
    position: int = 0,
    end_position: int | None = None,
) -> Loader:
    """One random batch on the device, again and again: input that costs nothing."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(
        256, (batch_size, image_size, image_size, 3), dtype=torch.uint8, generator=generator
    )
    batch = Batch(
        images=images.to(device).permute(0, 3, 1, 2),
        labels=torch.randint(classes, (batch_size,), generator=generator).to(device),
        samples=np.arange(batch_size),
    )
    advance = batch_size * world_size

    def batches(start: int) -> Generator[Batch]:
        while end_position is None or start < end_position:
            start += advance
            yield batch

    def steps(start: int) -> int | None:
        return None if end_position is None else max(0, -(-(end_position - start) // advance))

    return Loader(
        batches,
        steps=steps,
        advance=advance,
        samples=SYNTHETIC_SAMPLES,
        seed=0,
        fingerprint=SYNTHETIC_FINGERPRINT,
        position=position,
    )
