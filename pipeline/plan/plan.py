"""Step -> samples and what is done to them: order and augmentation of one rank, put together."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.config import PipelineConfig, Sizes
from pipeline.errors import MisuseError
from pipeline.plan.augment import Parameters, train_parameters, val_parameters
from pipeline.plan.order import (
    Order,
    fixed_order,
    global_order,
    inverse_frequency,
    repeated,
    weighted_order,
    window_order,
)
from pipeline.plan.ranks import step_positions, validation_samples
from pipeline.progressive_resize import ImageSize
from pipeline.storage.dataset import SplitIndex

Integers = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class PlannedBatch:
    """The samples of a step, or of several steps one behind the other.

    `samples`: int64 (B,), rows of the split's index; `visits`: which visit to each it is, int64
    (B,); `parameters`: of the same B images; `counts`: bool (B,), whether the label is to be used;
    `image_size_px`: the side of the images that come out.
    """

    samples: NDArray[np.int64]
    visits: NDArray[np.int64]
    parameters: Parameters
    counts: NDArray[np.bool_]
    image_size_px: int


@dataclass(frozen=True, kw_only=True)
class Plan:
    """`planned(steps)` is what consecutive steps take, a pure function; `image_size_at(step)` the
    side of a step's images in px; `steps` is None where there is no end.

    `with_samples(batch, places, samples)` is the batch with other samples at some places; for
    validation their labels don't count.
    """

    planned: Callable[[range], PlannedBatch]
    image_size_at: Callable[[int], int]
    with_samples: Callable[[PlannedBatch, list[int], list[int]], PlannedBatch]
    steps: int | None
    seed: int

    def batch_at(self, step: int) -> PlannedBatch:
        """What one step takes."""
        return self.planned(range(step, step + 1))

    def part(self, start: int, end: int | None) -> "Plan":
        """The steps from `start` to `end`."""
        return replace(
            self,
            planned=lambda steps: self.planned(range(start + steps.start, start + steps.stop)),
            image_size_at=lambda step: self.image_size_at(start + step),
            steps=None if end is None else end - start,
        )


def train_plan(
    index: SplitIndex,
    config: PipelineConfig,
    image_size_at: ImageSize,
    *,
    start: int,
    end: int | None,
    global_batch_size: int,
    rank: int,
    world_size: int,
) -> Plan:
    """Steps of `rank` from position `start` until `end` is reached or passed.

    A step's images have the size of its first position over all ranks.
    """
    order = order_of(index, config)

    def positions(step: int) -> Integers:
        return step_positions(
            step,
            start=start,
            global_batch_size=global_batch_size,
            rank=rank,
            world_size=world_size,
        )

    def size_at(step: int) -> int:
        return image_size_at(start + step * global_batch_size)

    def planned_steps(steps: range) -> PlannedBatch:
        return planned(*order(np.concatenate([*map(positions, steps)])), size_at(steps.start))

    def planned(visits: Integers, samples: Integers, image_size_px: int) -> PlannedBatch:
        return PlannedBatch(
            samples=samples,
            visits=visits,
            parameters=draw_train_parameters(index, config, visits, samples, image_size_px),
            counts=np.ones(len(samples), bool),
            image_size_px=image_size_px,
        )

    def with_samples(batch: PlannedBatch, places: list[int], samples: list[int]) -> PlannedBatch:
        others = _exchanged(batch.samples, places, samples)
        return planned(batch.visits, others, batch.image_size_px)

    return Plan(
        planned=planned_steps,
        image_size_at=size_at,
        with_samples=with_samples,
        steps=None if end is None else max(0, -(-(end - start) // global_batch_size)),
        seed=config.seed,
    )


def val_plan(
    index: SplitIndex, sizes: Sizes, *, batch_size: int, rank: int, world_size: int
) -> Plan:
    """The rank's share of the split in batches; the last may be smaller, a share may be empty."""
    share = validation_samples(samples=len(index), rank=rank, world_size=world_size)

    def planned_steps(steps: range) -> PlannedBatch:
        samples = share[steps.start * batch_size : steps.stop * batch_size]
        return planned(samples, np.ones(len(samples), bool))

    def planned(samples: Integers, counts: NDArray[np.bool_]) -> PlannedBatch:
        heights, widths = image_sizes_px(index, samples)
        parameters = val_parameters(
            heights=heights,
            widths=widths,
            resize_px=sizes.resize_px,
            image_size_px=sizes.image_size_px,
        )
        visits = np.zeros(len(samples), np.int64)
        return PlannedBatch(
            samples=samples,
            visits=visits,
            parameters=parameters,
            counts=counts,
            image_size_px=sizes.image_size_px,
        )

    def with_samples(batch: PlannedBatch, places: list[int], samples: list[int]) -> PlannedBatch:
        counts = batch.counts.copy()
        counts[places] = False
        return planned(_exchanged(batch.samples, places, samples), counts)

    return Plan(
        planned=planned_steps,
        image_size_at=lambda step: sizes.image_size_px,
        with_samples=with_samples,
        steps=-(-len(share) // batch_size),
        seed=0,
    )


def order_of(index: SplitIndex, config: PipelineConfig) -> Order:
    """The order of a split that `config` asks for."""
    if config.sample_weights == "inverse-frequency":
        if index.task != "classification":
            raise MisuseError(
                f"--sample-weights inverse-frequency counts classes, one an image; these shards "
                f"are stored for {index.task}: leave it out."
            )
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
    image_size_px: int,
) -> Parameters:
    """What is done to samples (B,) at visits (B,), as `config` says."""
    heights, widths = image_sizes_px(index, samples)
    return train_parameters(
        config,
        visits=visits,
        samples=samples,
        heights=heights,
        widths=widths,
        image_size_px=image_size_px,
    )


def _exchanged(samples: Integers, places: list[int], others: list[int]) -> Integers:
    out = samples.copy()
    out[places] = others
    return out


def image_sizes_px(
    index: SplitIndex, samples: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(heights, widths), int64 (B,)."""
    rows = index.samples[samples]
    return rows["height"].astype(np.int64), rows["width"].astype(np.int64)
