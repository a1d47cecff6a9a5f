"""All augmentations at once, with changing image sizes, give the same bits at any world size and
after any resume; the trainer trains with them."""

import json
import math
from itertools import islice
from pathlib import Path
from typing import Any

import click
import pytest
import torch

from pipeline.build import train_loader
from pipeline.config import PipelineConfig
from pipeline.errors import MisuseError
from pipeline.mixup import mixing
from pipeline.progressive_resize import parse_start_end, progressive_size
from pipeline.storage.dataset import Dataset
from tests.helpers import tiny_trainer
from trainer.config import Settings
from trainer.train import run

CPU = torch.device("cpu")
GLOBAL_BATCH_SIZE = 24
EVERYTHING: dict[str, Any] = {
    "seed": 5,
    "threads": 1,
    "color_jitter": 0.3,
    "hue_jitter": 20.0,
    "auto_augment": "rand",
    "erase_probability": 0.5,
    "mixup_alpha": 0.4,
    "cutmix_alpha": 1.0,
    "progressive_resize": (32, 64),
    "progressive_epochs": 1,
}
# Steps 66 and 67 begin in the first epoch of about 1,617 samples, 68 and 69 in the second.
FIRST_STEP, STEPS = 66, 4


def mixed_batches(
    shards: Path, *, world_size: int, rank: int, skipped: int = 0
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Mixed images and targets of a rank's steps."""
    config = PipelineConfig(**EVERYTHING)
    first = (FIRST_STEP + skipped) * GLOBAL_BATCH_SIZE
    batch_size = GLOBAL_BATCH_SIZE // world_size
    mix = mixing(config, classes=10, batch_size=batch_size, rank=rank)
    assert mix is not None
    with train_loader(
        Dataset(shards),
        config,
        global_batch_size=GLOBAL_BATCH_SIZE,
        rank=rank,
        world_size=world_size,
        device=CPU,
        position=first,
    ) as loader:
        return [
            mix(batch.images, batch.labels, first + step * GLOBAL_BATCH_SIZE)
            for step, batch in enumerate(islice(loader, STEPS - skipped))
        ]


@pytest.mark.parametrize(("world_size", "skipped"), [(1, 2), (2, 0), (3, 1)])
def test_bits_are_the_same_at_any_world_size_and_after_a_resume(
    digits_shards: Path, world_size: int, skipped: int
) -> None:
    whole = mixed_batches(digits_shards, world_size=1, rank=0)
    assert [images.shape[-1] for images, _ in whole] == [32, 32, 64, 64]
    ranks = [
        mixed_batches(digits_shards, world_size=world_size, rank=rank, skipped=skipped)
        for rank in range(world_size)
    ]
    for expected, rank_parts in zip(whole[skipped:], zip(*ranks, strict=True), strict=True):
        for together, parts in zip(expected, zip(*rank_parts, strict=True), strict=True):
            assert torch.equal(together, torch.cat(parts))


def test_image_sizes_grow_in_multiples_of_32_between_epochs() -> None:
    size_at = progressive_size(128, 224, epochs=6, epoch_positions=100)
    assert [size_at(100 * epoch) for epoch in range(8)] == [128, 128, 160, 160, 192, 192, 224, 224]
    assert [size_at(position) for position in (199, 200, 599, 600)] == [128, 160, 192, 224]
    assert size_at(10**15) == 224


@pytest.mark.parametrize("sizes", [(0, 64), (100, 224), (128, 200)])
def test_sizes_that_are_no_multiples_of_32_are_rejected(sizes: tuple[int, int]) -> None:
    with pytest.raises(MisuseError, match="multiples of 32"):
        PipelineConfig(progressive_resize=sizes)


@pytest.mark.long
def test_the_trainer_trains_with_all_augmentations(digits_shards: Path, tmp_path: Path) -> None:
    """One epoch at 32 px and the first steps at 64."""
    out = tmp_path / "run"
    run(
        Settings.from_options(
            model=tiny_trainer.MODEL,
            epochs=1.1,
            global_batch_size=64,
            out=str(out),
            shards=str(digits_shards),
            **EVERYTHING,
        )
    )
    lines = map(json.loads, (out / "metrics.jsonl").read_text().splitlines())
    losses = [line["loss"] for line in lines if line["kind"] == "train"]
    assert losses and all(math.isfinite(loss) for loss in losses)


def test_start_and_end_are_parsed() -> None:
    assert parse_start_end("128:224") == (128, 224)
    for text in ("128", "128-224", "a:b", "1:2:3"):
        with pytest.raises(click.BadParameter, match="does not have the form 128:224"):
            parse_start_end(text)
