"""Step -> samples and what is done to them: order and augmentation of one rank, put together."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.augment import Parameters, train_parameters, val_parameters
from pipeline.config import PipelineConfig, Sizes
from pipeline.dataset import SplitIndex
from pipeline.order import (
    Order,
    fixed_order,
    global_order,
    inverse_frequency,
    repeated,
    weighted_order,
    window_order,
)
from pipeline.ranks import step_positions, validation_samples


@dataclass(frozen=True, kw_only=True)
class PlannedBatch:
    """`samples`: int64 (B,), rows of the split's index; `parameters`: of the same B images."""

    samples: NDArray[np.int64]
    parameters: Parameters


@dataclass(frozen=True, kw_only=True)
class Plan:
    """`batch_at(step)` is a pure function of the step; `steps` is None where there is no end."""

    batch_at: Callable[[int], PlannedBatch]
    steps: int | None


def train_plan(
    index: SplitIndex,
    config: PipelineConfig,
    *,
    start: int,
    end: int | None,
    global_batch_size: int,
    rank: int,
    world_size: int,
) -> Plan:
    """Steps of `rank` from position `start` until `end` is reached or passed."""
    order = order_of(index, config)

    def batch_at(step: int) -> PlannedBatch:
        positions = step_positions(
            step,
            start=start,
            global_batch_size=global_batch_size,
            rank=rank,
            world_size=world_size,
        )
        visits, samples = order(positions)
        parameters = draw_train_parameters(index, config, visits, samples)
        return PlannedBatch(samples=samples, parameters=parameters)

    return Plan(
        batch_at=batch_at,
        steps=None if end is None else max(0, -(-(end - start) // global_batch_size)),
    )


def val_plan(
    index: SplitIndex, sizes: Sizes, *, batch_size: int, rank: int, world_size: int
) -> Plan:
    """The rank's share of the split in batches; the last may be smaller, a share may be empty."""
    share = validation_samples(samples=len(index), rank=rank, world_size=world_size)

    def batch_at(step: int) -> PlannedBatch:
        samples = share[step * batch_size : (step + 1) * batch_size]
        heights, widths = image_sizes_px(index, samples)
        parameters = val_parameters(
            heights=heights,
            widths=widths,
            resize_px=sizes.resize_px,
            image_size_px=sizes.image_size_px,
        )
        return PlannedBatch(samples=samples, parameters=parameters)

    return Plan(batch_at=batch_at, steps=-(-len(share) // batch_size))


def order_of(index: SplitIndex, config: PipelineConfig) -> Order:
    """The order of a split that `config` asks for."""
    if config.sample_weights == "inverse-frequency":
        labels = np.asarray(index.samples["label"])
        weights = inverse_frequency(labels, len(index.split.class_counts))
        order = weighted_order(labels, weights, config.seed)
    elif config.shuffle == "window":
        sizes = np.array([shard.samples for shard in index.split.shards])
        order = window_order(sizes, config.shuffle_window, config.seed)
    elif config.shuffle == "off":
        order = fixed_order(len(index))
    else:
        order = global_order(len(index), config.seed)
    return order if config.repeats == 1 else repeated(order, config.repeats)


def draw_train_parameters(
    index: SplitIndex,
    config: PipelineConfig,
    visits: NDArray[np.int64],
    samples: NDArray[np.int64],
) -> Parameters:
    """Windows, flips and colors of samples (B,) at visits (B,), as `config` says."""
    heights, widths = image_sizes_px(index, samples)
    return train_parameters(
        seed=config.seed,
        visits=visits,
        samples=samples,
        heights=heights,
        widths=widths,
        crop_area=config.crop_area,
        crop_ratio=config.crop_ratio,
        flip_probability=config.flip_probability,
        color_jitter=config.color_jitter,
    )


def image_sizes_px(
    index: SplitIndex, samples: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(heights, widths), int64 (B,)."""
    rows = index.samples[samples]
    return rows["height"].astype(np.int64), rows["width"].astype(np.int64)
