"""Loaders of the splits of a dataset: training's, endless and shuffled, and validation's."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.batches import BatchContext, decoded_batches, graph_config
from pipeline.config import PipelineConfig, image_size, resolve_sizes
from pipeline.feed.bad_samples import BadSamples
from pipeline.feed.decoded_cache import choose_kept
from pipeline.loader import Loader
from pipeline.log import warn
from pipeline.plan.plan import Plan, train_plan, val_plan
from pipeline.plan.ranks import per_rank_batch_size, validation_samples
from pipeline.plan.step_groups import max_group_size, prefetch_groups
from pipeline.storage.cache_eviction import GIB
from pipeline.storage.dataset import Dataset, SplitIndex
from pipeline.storage.manifest import TARGET_COMPONENTS
from pipeline.targets import check_fit


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
    stream = train_stream(
        dataset,
        config,
        global_batch_size=global_batch_size,
        device=device,
        rank=rank,
        world_size=world_size,
        end_position=end_position,
        split=split,
    )
    return Loader(
        lambda start: decoded_batches(stream.source, stream.plan(start)),
        steps=lambda start: stream.plan(start).steps,
        source=stream.source,
        advance=global_batch_size,
        samples=stream.samples,
        seed=config.seed,
        fingerprint=dataset.fingerprint,
        position=position,
    )


@dataclass(frozen=True, kw_only=True)
class TrainStream:
    """What the batches of training are made from: `plan` is that of the steps from a position on,
    `samples` are the positions in an epoch."""

    source: BatchContext
    plan: Callable[[int], Plan]
    samples: int


def train_stream(
    dataset: Dataset,
    config: PipelineConfig,
    *,
    global_batch_size: int,
    device: torch.device,
    rank: int = 0,
    world_size: int = 1,
    end_position: int | None = None,
    split: str = "train",
) -> TrainStream:
    """See ``train_loader``."""
    batch_size = per_rank_batch_size(global_batch_size, world_size)
    index = _opened(dataset, config, split)
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

    return TrainStream(source=source, plan=plan, samples=samples)


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
    index = _opened(dataset, config, split)
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


def _opened(dataset: Dataset, config: PipelineConfig, split: str) -> SplitIndex:
    dataset.require(*TARGET_COMPONENTS)
    check_fit(config, dataset.manifest.task)
    index = dataset.split(split)
    # Fetched and checked now, not when the first batch is waited for.
    _ = index.samples
    if index.task == "segmentation":
        _ = index.masks
    elif index.task != "classification":
        _ = index.targets
    return index


def _warn_of_thrashing(index: SplitIndex) -> None:
    total = sum(shard.bytes for shard in index.split.shards)
    if index.cache is not None and total > index.cache.limit_bytes:
        warn(
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
) -> BatchContext:
    """What iterations over `samples` of a split share."""
    kept = choose_kept(config.cache, index, samples, device, rank=rank)
    group = group_steps(dataset, config, device, batch_size)
    return BatchContext(
        index=index,
        batch_size=batch_size,
        group=group,
        graph=graph_config(
            dataset,
            replace(config, prefetch=prefetch_groups(config.prefetch, group)),
            device,
            batch_size * group,
            training=training,
            decoded=None if kept is None else "device" if kept.on_device else "host",
        ),
        config=config,
        device=device,
        bad=BadSamples(index, math.ceil(config.max_bad * len(index))),
        kept=kept,
        rank=rank,
    )


def group_steps(
    dataset: Dataset, config: PipelineConfig, device: torch.device, batch_size: int
) -> int:
    """The most steps that DALI decodes in one run, see ``grouping``."""
    manifest = dataset.manifest
    stored_px = manifest.heights[1] * manifest.widths[1]
    side_px = max(config.progressive_resize or (resolve_sizes(config, manifest).image_size_px,))
    return max_group_size(
        batch_size=batch_size,
        image_bytes=3 * max(stored_px, side_px**2),
        read_ahead=config.read_ahead,
        on_gpu=device.type == "cuda",
        checked=config.verify == "crc",
    )
