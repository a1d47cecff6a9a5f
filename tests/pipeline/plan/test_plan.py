"""A plan that is resumed anywhere is the same at any world size."""

from dataclasses import fields
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config import PipelineConfig
from pipeline.plan.augment import Parameters
from pipeline.plan.plan import PlannedBatch, train_plan, val_plan
from pipeline.plan.ranks import validation_samples
from pipeline.progressive_resize import progressive_size
from pipeline.sizes import Sizes
from pipeline.storage.dataset import Dataset
from tests.helpers.amounts import full_or_tenth

CONFIG = PipelineConfig(
    seed=11, color_jitter=0.4, hue_jitter=20.0, auto_augment="rand", erase_probability=0.5
)
SIZE_AT = progressive_size(32, 128, epochs=2, epoch_positions=1438)
GLOBAL_BATCH_SIZE = 12
# Epochs have 1,438 samples: the run ends in its third.
STEPS = 300


def global_batch(shards: Path, *, start: int, step: int, world_size: int) -> list[PlannedBatch]:
    index = Dataset(shards).split("train")
    return [
        train_plan(
            index,
            CONFIG,
            SIZE_AT,
            start=start,
            end=None,
            global_batch_size=GLOBAL_BATCH_SIZE,
            rank=rank,
            world_size=world_size,
        ).batch_at(step)
        for rank in range(world_size)
    ]


def concatenate(batches: list[PlannedBatch]) -> dict[str, np.ndarray]:
    columns = {
        field.name: np.concatenate([getattr(batch.parameters, field.name) for batch in batches])
        for field in fields(Parameters)
    }
    return columns | {"samples": np.concatenate([batch.samples for batch in batches])}


@settings(max_examples=full_or_tenth(500))
@given(data=st.data(), world_size=st.sampled_from([1, 2, 3, 4, 6, 12]))
def test_a_resumed_plan_is_the_same_at_any_world_size(
    digits_shards: Path, data: st.DataObject, world_size: int
) -> None:
    stop = data.draw(st.integers(0, STEPS), label="stop")
    step = data.draw(st.integers(stop, STEPS), label="step")
    whole = concatenate(global_batch(digits_shards, start=0, step=step, world_size=1))
    resumed = concatenate(
        global_batch(
            digits_shards, start=stop * GLOBAL_BATCH_SIZE, step=step - stop, world_size=world_size
        )
    )
    assert whole.keys() == resumed.keys()
    for name, values in whole.items():
        assert np.array_equal(values, resumed[name]), name


def test_a_sample_is_augmented_differently_in_every_epoch(digits_shards: Path) -> None:
    index = Dataset(digits_shards).split("train")
    plan = train_plan(
        index,
        CONFIG,
        SIZE_AT,
        start=0,
        end=None,
        global_batch_size=len(index),
        rank=0,
        world_size=1,
    )
    first, second = (plan.batch_at(epoch) for epoch in (0, 1))
    back = np.argsort(first.samples), np.argsort(second.samples)
    brightness = (first.parameters.brightness, second.parameters.brightness)
    assert brightness[0] is not None and brightness[1] is not None
    assert not np.any(brightness[0][back[0]] == brightness[1][back[1]])


def test_a_plan_ends_with_the_step_that_reaches_its_end(digits_shards: Path) -> None:
    index = Dataset(digits_shards).split("train")
    steps = [
        train_plan(
            index, CONFIG, SIZE_AT, start=24, end=end, global_batch_size=12, rank=0, world_size=1
        ).steps
        for end in (0, 24, 25, 36, 37, None)
    ]
    assert steps == [0, 0, 1, 1, 2, None]


def test_validation_batches_cover_the_ranks_share(digits_shards: Path) -> None:
    index = Dataset(digits_shards).split("val")
    sizes = Sizes(image_size_px=32, resize_px=36)
    share = validation_samples(samples=len(index), rank=1, world_size=2)
    plan = val_plan(index, sizes, share, batch_size=50)
    assert plan.steps is not None
    seen = np.concatenate([plan.batch_at(step).samples for step in range(plan.steps)])
    assert np.array_equal(seen, np.arange(len(index) // 2, len(index)))
