"""Record the batches of all ranks under torchrun, for test_ranks.py; rank 0 writes them as JSON.

Arguments: shards, file to write, global batch size, first position, steps.
"""

import json
import sys
import zlib
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pipeline.batch import Batch
from pipeline.config import PipelineConfig
from trainer.data import TrainingData, open_data, task_of, train_batches, val_batches
from trainer.distributed.collectives import World
from trainer.distributed.process_group import open_world
from trainer.evaluation.loop import evaluate


def record_ranks(
    shards: str, *, global_batch_size: int, position: int, steps: int
) -> dict[str, Any]:
    """Samples and checksums of each step in the order of the ranks, and an evaluation."""
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


class Sums(nn.Module):
    """Outputs from the sums of an image's channels, whose bits don't depend on the batch size."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.factors = torch.arange(1, classes + 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return (images.long().sum((1, 2, 3))[:, None] * self.factors % 997) / 100


def _evaluated(
    data: TrainingData, pipeline: PipelineConfig, world: World, global_batch_size: int
) -> dict[str, Any]:
    batches = val_batches(data, pipeline, world, global_batch_size=global_batch_size)
    assert batches is not None
    task = task_of(data, label_smoothing=0)
    with batches:
        evaluation = evaluate(batches, Sums(data.classes), world, task, flips=True)
    assert evaluation is not None
    return evaluation.as_record() | evaluation.tables()


if __name__ == "__main__":
    shards, out, global_batch_size, position, steps = sys.argv[1:]
    record = record_ranks(
        shards, global_batch_size=int(global_batch_size), position=int(position), steps=int(steps)
    )
    if record["rank"] == 0:
        Path(out).write_text(json.dumps(record), encoding="utf-8")
