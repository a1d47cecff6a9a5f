"""Loaders: iterables of batches whose only state is a position.

``train_loader``, ``val_loader`` and ``synthetic_loader`` make a ``Loader``; whoever takes batches
can't tell them apart.
"""

import math
from collections.abc import Callable, Generator, Iterator
from typing import Any, Self

import numpy as np
import torch

from pipeline.bad_samples import BadSamples
from pipeline.config import PipelineConfig, image_size, resolve_sizes
from pipeline.dataset import Dataset
from pipeline.decoding import Batch, decoded_batches, graph_config
from pipeline.errors import DataError
from pipeline.plan import train_plan, val_plan
from pipeline.ranks import per_rank_batch_size

__all__ = [
    "SYNTHETIC_FINGERPRINT",
    "Batch",
    "Loader",
    "synthetic_loader",
    "train_loader",
    "val_loader",
]


SYNTHETIC_FINGERPRINT = "synthetic"


class Loader:
    """An iterable of batches whose only state is a position in the stream of samples.

    An iteration begins at the position; leaving it, or ``close``, frees threads and memory.

    Args:
        batches: makes the batches from a position on.
        advance: positions that a batch moves on, over all ranks; 0 for a loader that starts over
            at each iteration.
        fingerprint: of the dataset that the position belongs to.
        bad: where bad samples are remembered; None if there can't be any.
    """

    def __init__(
        self,
        batches: Callable[[int], Generator[Batch]],
        *,
        advance: int,
        seed: int,
        fingerprint: str,
        position: int = 0,
        bad: BadSamples | None = None,
    ) -> None:
        self._batches, self._advance, self._bad = batches, advance, bad
        self._seed, self._fingerprint, self._position = seed, fingerprint, position
        self._running: Generator[Batch] | None = None

    def __iter__(self) -> Iterator[Batch]:
        self.close()
        running = self._running = self._batches(self._position)
        try:
            for batch in running:
                self._position += self._advance
                yield batch
        finally:
            running.close()

    def bad_samples(self) -> list[tuple[str, str]]:
        """(sample, reason) of each bad sample met so far, in whose place others came."""
        return [] if self._bad is None else self._bad.describe()

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
        self._position = state["position"]

    def close(self) -> None:
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
    dataset.require("classification")
    batch_size = per_rank_batch_size(global_batch_size, world_size)
    index = dataset.split(split)
    bad = BadSamples(index, math.ceil(config.max_bad * len(index)))
    graph = graph_config(dataset, config, device, batch_size, training=True)
    image_size_at = image_size(
        config, dataset.manifest, epoch_positions=len(index) * config.repeats
    )

    def batches(start: int) -> Generator[Batch]:
        plan = train_plan(
            index,
            config,
            image_size_at,
            start=start,
            end=end_position,
            global_batch_size=global_batch_size,
            rank=rank,
            world_size=world_size,
        )
        return decoded_batches(index, plan, graph, config, device, bad)

    return Loader(
        batches,
        bad=bad,
        advance=global_batch_size,
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
    dataset.require("classification")
    index = dataset.split(split)
    bad = BadSamples(index, math.ceil(config.max_bad * len(index)))
    graph = graph_config(dataset, config, device, batch_size, training=False)
    plan = val_plan(
        index,
        resolve_sizes(config, dataset.manifest),
        batch_size=batch_size,
        rank=rank,
        world_size=world_size,
    )
    return Loader(
        lambda _: decoded_batches(index, plan, graph, config, device, bad),
        bad=bad,
        advance=0,
        seed=config.seed,
        fingerprint=dataset.fingerprint,
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

    return Loader(
        batches, advance=advance, seed=0, fingerprint=SYNTHETIC_FINGERPRINT, position=position
    )
