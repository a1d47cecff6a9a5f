"""Step -> samples and their augmentation: the order and the augmentation of one rank."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from pipeline.arrays import Integers
from pipeline.config import PipelineConfig
from pipeline.errors import MisuseError
from pipeline.plan.augment import Parameters, train_parameters, val_parameters
from pipeline.plan.order import (
    Order,
    fixed_order,
    global_order,
    inverse_frequency,
    renumbered,
    repeated,
    weighted_order,
    window_order,
)
from pipeline.plan.ranks import step_positions
from pipeline.progressive_resize import ImageSize
from pipeline.sizes import Sizes
from pipeline.storage.dataset import SplitIndex


@dataclass(frozen=True, kw_only=True)
class PlannedBatch:
    """The B samples of one step or of consecutive steps.

    Attributes:
        samples: int64 (B,), rows of the index's tables.
        visits: int64 (B,), the visit to each, see ``order.py``.
        parameters: the augmentation of the B images.
        counts: bool (B,), whether the target is used.
        image_size_px: side of the images after augmentation.
    """

    samples: Integers
    visits: Integers
    parameters: Parameters
    counts: NDArray[np.bool_]
    image_size_px: int


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The steps of one rank: all methods are pure functions.

    Attributes:
        visit: consecutive steps -> (visits, samples) of the rank, int64 (B,) each.
        draw_parameters: (visits, samples, image_size_px) -> their augmentation.
        image_size_at: step -> side of its images in px.
        replacements_count: whether the targets of samples that replace bad ones are used.
        steps: number of steps, None for an endless plan.
        seed: of the choice of replacements.
    """

    visit: Callable[[range], tuple[Integers, Integers]]
    draw_parameters: Callable[[Integers, Integers, int], Parameters]
    image_size_at: Callable[[int], int]
    replacements_count: bool
    steps: int | None
    seed: int

    def planned(self, steps: range) -> PlannedBatch:
        """The samples of consecutive steps."""
        visits, samples = self.visit(steps)
        counts = np.ones(len(samples), bool)
        return self._batch(visits, samples, counts, self.image_size_at(steps.start))

    def batch_at(self, step: int) -> PlannedBatch:
        """The samples of one step."""
        return self.planned(range(step, step + 1))

    def with_samples(
        self, batch: PlannedBatch, samples: Integers, indices: list[int]
    ) -> PlannedBatch:
        """The batch with `samples` (B,) instead, of which those at `indices` are replacements."""
        counts = batch.counts.copy()
        counts[indices] = self.replacements_count
        return self._batch(batch.visits, samples, counts, batch.image_size_px)

    def part(self, start: int, end: int | None) -> "Plan":
        """The plan of the steps from `start` to `end`, None for no end."""
        return replace(
            self,
            visit=lambda steps: self.visit(range(start + steps.start, start + steps.stop)),
            image_size_at=lambda step: self.image_size_at(start + step),
            steps=None if end is None else end - start,
        )

    def _batch(
        self, visits: Integers, samples: Integers, counts: NDArray[np.bool_], image_size_px: int
    ) -> PlannedBatch:
        return PlannedBatch(
            samples=samples,
            visits=visits,
            parameters=self.draw_parameters(visits, samples, image_size_px),
            counts=counts,
            image_size_px=image_size_px,
        )


def train_plan(
    index: SplitIndex,
    config: PipelineConfig,
    image_size_at: ImageSize,
    start: int,
    *,
    end: int | None,
    global_batch_size: int,
    rank: int,
    world_size: int,
) -> Plan:
    """Plan the steps of `rank` from position `start` to the step that reaches `end`.

    The first position of a step over all ranks determines the size of its images.
    """
    order = order_of(index, config)
    positions = partial(
        step_positions,
        start=start,
        global_batch_size=global_batch_size,
        rank=rank,
        world_size=world_size,
    )
    return Plan(
        visit=lambda steps: order(np.concatenate([*map(positions, steps)])),
        draw_parameters=partial(draw_train_parameters, index, config),
        image_size_at=lambda step: image_size_at(start + step * global_batch_size),
        replacements_count=True,
        steps=None if end is None else max(0, -(-(end - start) // global_batch_size)),
        seed=config.seed,
    )


def val_plan(index: SplitIndex, sizes: Sizes, share: Integers, *, batch_size: int) -> Plan:
    """Plan the batches of `share`, rows of the index; the last may be smaller, a share may be
    empty."""

    def visit(steps: range) -> tuple[Integers, Integers]:
        samples = share[steps.start * batch_size : steps.stop * batch_size]
        return np.zeros(len(samples), np.int64), samples

    def draw_parameters(visits: Integers, samples: Integers, image_size_px: int) -> Parameters:
        sizes_px = image_sizes_px(index, samples)
        return val_parameters(*sizes_px, resize_px=sizes.resize_px, image_size_px=image_size_px)

    return Plan(
        visit=visit,
        draw_parameters=draw_parameters,
        image_size_at=lambda step: sizes.image_size_px,
        replacements_count=False,
        steps=-(-len(share) // batch_size),
        seed=0,
    )


def order_of(index: SplitIndex, config: PipelineConfig) -> Order:
    """The order of an index's rows that `config` selects; ``MisuseError`` if its task has no
    classes to weight."""
    if config.sample_weights == "inverse-frequency":
        if index.task != "classification":
            raise MisuseError(
                f"--sample-weights inverse-frequency needs one class per image, but these shards "
                f"are stored for {index.task}: remove it."
            )
        labels = np.asarray(index.samples["label"][index.rows()])
        weights = inverse_frequency(labels, index.classes)
        order = weighted_order(labels, weights, config.seed)
    elif config.shuffle == "window":
        shards = index.samples["shard"][index.rows()]
        sizes = np.bincount(shards, minlength=len(index.split.shards))
        order = window_order(sizes, config.shuffle_window, config.seed)
    elif config.shuffle == "off":
        order = fixed_order(len(index))
    else:
        order = global_order(len(index), config.seed)
    order = renumbered(order, index.rows)
    return order if config.repeats == 1 else repeated(order, config.repeats)


def draw_train_parameters(
    index: SplitIndex,
    config: PipelineConfig,
    visits: Integers,
    samples: Integers,
    image_size_px: int,
) -> Parameters:
    """The augmentation of `samples` (B,) at `visits` (B,), see ``train_parameters``."""
    heights, widths = image_sizes_px(index, samples)
    return train_parameters(
        config,
        visits=visits,
        samples=samples,
        heights=heights,
        widths=widths,
        image_size_px=image_size_px,
    )


def image_sizes_px(index: SplitIndex, samples: Integers) -> tuple[Integers, Integers]:
    """(heights, widths) of the images of `samples`, in px, int64 (B,) each."""
    rows = index.samples[samples]
    return rows["height"].astype(np.int64), rows["width"].astype(np.int64)
