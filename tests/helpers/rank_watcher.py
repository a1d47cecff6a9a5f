"""Record the batches of all ranks under torchrun, for test_ranks.py; rank 0 writes them as JSON.

Arguments: shards, file to write, global batch size, first position, steps.
"""

import json
import sys
import zlib
from pathlib import Path
from typing import Any

from pipeline.batches import Batch
from pipeline.config import PipelineConfig
from trainer.data import TrainingData, open_data, task_of, train_batches, val_batches
from trainer.distributed.collectives import World
from trainer.distributed.process_group import open_world
from trainer.evaluation.loop import evaluate
from trainer.model.build import build_model


def record_ranks(
    shards: str, *, global_batch_size: int, position: int, steps: int
) -> dict[str, Any]:
    """Samples and checksums of each step in the order of the ranks, and an evaluation's counts."""
    pipeline = PipelineConfig(shards=shards, threads=1)
    with open_world("cpu") as world:
        data = open_data(pipeline, synthetic=False)
        batches = train_batches(
            data,
            pipeline,
            world,
            global_batch_size=global_batch_size,
            position=position,
            end_position=position + steps * global_batch_size,
        )
        with batches:
            seen = [_gathered(world, batch) for batch in batches]
            end = batches.state_dict()["position"]
        return {
            "world_size": world.world_size,
            "rank": world.rank,
            "steps": seen,
            "end": end,
            "evaluation": _evaluated(data, pipeline, world, global_batch_size),
        }


def _gathered(world: World, batch: Batch) -> list[float]:
    pixels = [zlib.crc32(image.contiguous().numpy().tobytes()) for image in batch.images]
    values = [*batch.samples.tolist(), *pixels]
    half = len(batch.samples)
    rows = world.all_gather(values)
    return [value for row in rows for value in row[:half]] + [
        value for row in rows for value in row[half:]
    ]


def _evaluated(
    data: TrainingData, pipeline: PipelineConfig, world: World, global_batch_size: int
) -> list[int]:
    model = build_model(
        "squeezenet1_1",
        classes=data.classes,
        image_size_px=data.image_size_px,
        mean=data.mean,
        std=data.std,
        seed=0,
    )
    batches = val_batches(data, pipeline, world, global_batch_size=global_batch_size)
    assert batches is not None
    with batches:
        evaluation = evaluate(batches, model, world, task_of(data, label_smoothing=0))
    assert evaluation is not None
    return [evaluation.samples, *evaluation.counts.values()]


if __name__ == "__main__":
    shards, out, global_batch_size, position, steps = sys.argv[1:]
    record = record_ranks(
        shards, global_batch_size=int(global_batch_size), position=int(position), steps=int(steps)
    )
    if record["rank"] == 0:
        Path(out).write_text(json.dumps(record), encoding="utf-8")
