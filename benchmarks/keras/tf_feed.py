"""tf.data on the same tars: shardline reads the bytes, TensorFlow does the rest.

plan (samples, crops, flips) -> bytes -> tf.data: decode the crop, resize, flip, batch

Samples, order, crops and flips are those of the loader; pixels differ as the decoders and resizers
do.
"""

from collections.abc import Generator
from contextlib import closing
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf
from torch.utils.dlpack import from_dlpack

from pipeline.batch import Batch
from pipeline.build import TrainStream
from pipeline.config import PipelineConfig
from pipeline.errors import DataError, MisuseError
from pipeline.loader import Loader
from pipeline.plan.augment import GEOMETRY, train_parameter_names
from pipeline.plan.plan import Plan
from pipeline.storage.reader import ShardReader
from pipeline.targets import batch_targets
from pipeline.watchdog import StallWatchdog
from trainer.data import TrainingData
from trainer.distributed.collectives import World


def tf_batches(
    data: TrainingData,
    pipeline: PipelineConfig,
    world: World,
    *,
    global_batch_size: int,
    position: int,
    end_position: int | None,
) -> Loader:
    """``trainer.data.train_batches`` by tf.data. Raises ``MisuseError`` for other settings."""
    if data.dataset is None:
        raise MisuseError("--feed tf.data reads shards: leave out --synthetic.")
    if train_parameter_names(pipeline) != GEOMETRY:
        raise MisuseError(
            "--feed tf.data supports crops and flips only: leave out --color-jitter, --hue-jitter, "
            "--auto-augment and --erase-probability."
        )
    stream = TrainStream(
        data.dataset,
        pipeline,
        global_batch_size=global_batch_size,
        device=world.device,
        rank=world.rank,
        world_size=world.world_size,
        end_position=end_position,
    )
    return Loader(
        partial(_batches, stream, pipeline, world.rank),
        steps=lambda start: stream.plan(start).steps,
        advance=global_batch_size,
        samples=stream.samples,
        seed=pipeline.seed,
        fingerprint=data.dataset.fingerprint,
        position=position,
    )


def _batches(
    stream: TrainStream, pipeline: PipelineConfig, rank: int, start: int
) -> Generator[Batch]:
    plan, index = stream.plan(start), stream.context.index
    watchdog = StallWatchdog(0, rank)
    with closing(ShardReader(index, verify=pipeline.verify == "crc", watchdog=watchdog)) as reader:
        for step, images in enumerate(_decoded(plan, reader, pipeline.resolved_threads)):
            planned = plan.batch_at(step)
            yield Batch(
                images=from_dlpack(images).permute(0, 3, 1, 2),
                targets=batch_targets(index, planned),
                samples=planned.samples,
            )


def _decoded(plan: Plan, reader: ShardReader, threads: int) -> Any:
    """The images of each step, uint8 (B, H, W, 3). Raises ``DataError`` for damaged samples."""
    first = plan.batch_at(0)
    batch_size, side = len(first.samples), first.image_size_px

    def read(step: int) -> tuple[Any, ...]:
        planned = plan.batch_at(int(step))
        views, damaged = reader.read(planned.samples)
        if damaged:
            raise DataError(f"{len(damaged)} damaged samples: --feed tf.data can't replace them.")
        encoded = np.array([view.tobytes() for view in views], dtype=object)
        parameters = planned.parameters
        return encoded, parameters.start, parameters.shape, parameters.mirror

    def in_graph(step: Any) -> tuple[Any, ...]:
        types = (tf.string, tf.int32, tf.int32, tf.int32)
        parts = tf.numpy_function(read, [step], types, stateful=False)
        for part, shape in zip(parts, ((), (2,), (2,), ()), strict=True):
            part.set_shape((batch_size, *shape))
        return tuple(parts)

    # One thread reads: the reader is not thread-safe.
    dataset = tf.data.Dataset.counter() if plan.steps is None else tf.data.Dataset.range(plan.steps)
    dataset = dataset.map(in_graph).prefetch(tf.data.AUTOTUNE).unbatch()
    dataset = dataset.map(partial(_image, side=side), num_parallel_calls=threads)
    options = tf.data.Options()
    options.threading.private_threadpool_size = threads
    dataset = dataset.batch(batch_size, drop_remainder=True).prefetch(2)
    return dataset.with_options(options)


def _image(encoded: Any, start: Any, shape: Any, mirror: Any, *, side: int) -> Any:
    """uint8 (side, side, 3): the crop, resized, and mirrored if `mirror` is not 0."""
    crop = tf.concat([start, shape], axis=0)
    image = tf.cond(
        tf.io.is_jpeg(encoded),
        lambda: tf.image.decode_and_crop_jpeg(
            encoded, crop, channels=3, dct_method="INTEGER_ACCURATE"
        ),
        lambda: tf.slice(
            tf.image.decode_png(encoded, channels=3),
            tf.concat([start, [0]], axis=0),
            tf.concat([shape, [3]], axis=0),
        ),
    )
    image = tf.image.resize(image, (side, side), method="bilinear", antialias=True)
    image = tf.cast(tf.clip_by_value(tf.round(image), 0, 255), tf.uint8)
    return tf.cond(mirror > 0, lambda: tf.reverse(image, axis=[1]), lambda: image)
