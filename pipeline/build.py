"""Build the loaders of a dataset's splits: endless and shuffled for training, or for validation."""

import logging
import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch

from pipeline.arrays import Integers
from pipeline.batches import BatchContext, decoded_batches, graph_config
from pipeline.config import PipelineConfig
from pipeline.dali.decoder_choice import size_hint
from pipeline.feed.bad_samples import BadSamples
from pipeline.feed.decoded_cache import open_decoded_cache
from pipeline.fold_index import open_index
from pipeline.loader import Loader
from pipeline.on_device import with_index
from pipeline.plan.decode_groups import max_group_size, prefetch_groups
from pipeline.plan.plan import Plan, image_sizes_px, train_plan, val_plan
from pipeline.plan.ranks import per_rank_batch_size, validation_samples
from pipeline.plan.tiles import tile_plan
from pipeline.shard_checks import check_task_support
from pipeline.sizes import image_size, resolve_sizes
from pipeline.storage.cache_eviction import GIB
from pipeline.storage.dataset import Dataset, SplitIndex
from pipeline.storage.manifest import TARGET_COMPONENTS

_LOG = logging.getLogger(__name__)

# Images whose sizes decide how much memory the decoders allocate in advance: enough for a quantile.
COMPARED_SIZES = 100_000


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
    """Build a loader of shuffled and augmented training batches.

    Args:
        dataset: the opened shards.
        config: order, augmentation, image size and threads.
        global_batch_size: samples of a step, summed over all ranks; `world_size` must divide it.
        device: where the images of a batch are decoded to.
        rank, world_size: this process and the number of processes; each rank gets an equal slice of
            every global batch.
        position: where the first iteration starts, in samples from the beginning of the stream.
        end_position: the last step is the one that reaches it; None for an endless stream.
        split: a split of the dataset. With ``config.fold`` "train" is all folds but the one that
            is held out, which is "val"; with ``config.train_samples`` it is a part of that.

    Raises:
        MisuseError: the ranks can't share a global batch equally, or `config` has an option that
            the dataset's task does not support, or a fold that the dataset can't have.
        DataError: the split is missing or damaged. While iterating: a shard is damaged or missing,
            too many samples are bad, or no batch arrived within ``config.stall_timeout`` seconds.

    Example:
        >>> loader = train_loader(Dataset("shards"), PipelineConfig(seed=1),
        ...                       global_batch_size=256, device=torch.device("cuda"))
        >>> for batch in loader.by_epoch(): ...
    """
    stream = TrainStream(
        dataset,
        config,
        global_batch_size=global_batch_size,
        device=device,
        rank=rank,
        world_size=world_size,
        end_position=end_position,
        split=split,
    )
    return stream.loader(position)


class TrainStream:
    """One rank's share of the stream of training steps; takes the arguments of ``train_loader``
    except the position, and raises the same errors.

    Attributes:
        context: the state that its loaders share.
        plan: position -> the plan of the steps from there.
        samples: positions of an epoch.
    """

    def __init__(
        self,
        dataset: Dataset,
        config: PipelineConfig,
        *,
        global_batch_size: int,
        device: torch.device,
        rank: int = 0,
        world_size: int = 1,
        end_position: int | None = None,
        split: str = "train",
    ) -> None:
        batch_size = per_rank_batch_size(global_batch_size, world_size)
        index = _open_split(dataset, config, split)
        if rank == 0 and config.shuffle == "global":
            _warn_of_thrashing(index)
        self.context = _build_context(
            dataset, config, index, index.rows(), device, batch_size, rank, training=True
        )
        self.samples = len(index) * config.repeats
        self._fingerprint, self._global_batch_size = dataset.fingerprint, global_batch_size
        self.plan: Callable[[int], Plan] = partial(
            train_plan,
            index,
            config,
            image_size(config, dataset.manifest, epoch_positions=self.samples),
            end=end_position,
            global_batch_size=global_batch_size,
            rank=rank,
            world_size=world_size,
        )

    def loader(self, position: int = 0) -> Loader:
        """A loader whose first iteration starts at `position`."""
        return Loader(
            lambda start: decoded_batches(self.context, self.plan(start)),
            steps=lambda start: self.plan(start).steps,
            context=self.context,
            advance=self._global_batch_size,
            samples=self.samples,
            seed=self.context.config.seed,
            fingerprint=self._fingerprint,
            fold=self.context.config.fold,
            train_samples=self.context.config.train_samples,
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
    whole_batches: bool = False,
    tiles: bool = False,
    samples: Integers | None = None,
) -> Loader:
    """Build a loader of validation batches: each iteration yields every sample of the split exactly
    once over all ranks, in the order of the index, without random augmentation.

    Images are resized so that their shorter side has ``config.val_resize`` px, and the central
    square of ``config.image_size`` px is cropped.

    Args:
        batch_size: samples of a batch on this rank. The last batch may be smaller; ranks may have
            different numbers of batches.
        whole_batches: whether a batch has the same samples at any number of ranks: the next
            `batch_size` in the order of the index. Only the last one of the split may be smaller.
        tiles: whether batches hold, instead of one central square of each image, the squares of
            ``tile_windows`` that cover it, one after the other.
        samples: rows of the split's index, int64 (B,), to yield instead of all, in this order.
        dataset, config, device, rank, world_size, split: see ``train_loader``.

    Raises:
        MisuseError, DataError: as ``train_loader``.

    Example:
        >>> loader = val_loader(Dataset("shards"), PipelineConfig(), batch_size=64,
        ...                     device=torch.device("cuda"))
        >>> correct = sum((model(b.images).argmax(1) == b.labels).sum() for b in loader)
    """
    index = _open_split(dataset, config, split)
    rows = index.rows() if samples is None else samples
    numbers = validation_samples(
        samples=len(rows),
        rank=rank,
        world_size=world_size,
        multiple=batch_size if whole_batches else 1,
    )
    share = rows[numbers]
    context = _build_context(
        dataset, config, index, share, device, batch_size, rank, training=False
    )
    sizes = resolve_sizes(config, dataset.manifest)
    if tiles:
        plan = tile_plan(index, sizes.image_size_px, share, batch_size=batch_size)
    else:
        plan = val_plan(index, sizes, share, batch_size=batch_size)
    return Loader(
        lambda _: decoded_batches(context, plan),
        steps=lambda _: plan.steps,
        context=context,
        advance=0,
        samples=len(rows),
        seed=config.seed,
        fingerprint=dataset.fingerprint,
        fold=config.fold,
    )


def _open_split(dataset: Dataset, config: PipelineConfig, split: str) -> SplitIndex:
    dataset.require(*TARGET_COMPONENTS)
    check_task_support(config, dataset.manifest.task)
    index = open_index(dataset, config, split)
    # Fetched and checked now, before anyone waits for the first batch.
    _ = index.samples
    if index.task == "segmentation":
        _ = index.masks
    elif index.task != "classification":
        _ = index.targets
    return index


def _warn_of_thrashing(index: SplitIndex) -> None:
    total = sum(shard.bytes for shard in index.split.shards)
    if index.cache is not None and total > index.cache.limit_bytes:
        _LOG.warning(
            f"The shards of {index.name} take {total / GIB:.2g} GiB, but --cache-size allows only "
            f"{index.cache.limit_bytes / GIB:.2g} GiB: with --shuffle global each batch fetches "
            f"shards again. Use --shuffle window or a larger --cache-size."
        )


def _build_context(
    dataset: Dataset,
    config: PipelineConfig,
    index: SplitIndex,
    samples: Integers,
    device: torch.device,
    batch_size: int,
    rank: int,
    *,
    training: bool,
) -> BatchContext:
    """The shared state of iterations over `samples`, rows of the index."""
    device = with_index(device)
    cache = open_decoded_cache(config.cache, index, samples, device, rank=rank)
    group = group_steps(dataset, config, device, batch_size)
    compared = samples[:: max(1, len(samples) // COMPARED_SIZES)]
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
            decoded_cache=None if cache is None else cache.location,
            hint_px=size_hint(*image_sizes_px(index, compared)),
        ),
        config=config,
        device=device,
        bad=BadSamples(index, math.ceil(config.max_bad * len(index))),
        decoded_cache=cache,
        rank=rank,
    )


def group_steps(
    dataset: Dataset, config: PipelineConfig, device: torch.device, batch_size: int
) -> int:
    """The most steps that DALI decodes in one run, see ``decode_groups.py``."""
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
