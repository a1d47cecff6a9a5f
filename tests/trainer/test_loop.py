"""One training loop, and an evaluation that breaks off."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.batches import Batch
from pipeline.mixup import Mixing
from trainer.distributed.collectives import World
from trainer.evaluation.loop import evaluate
from trainer.loop import train_steps
from trainer.tasks.tasks import Classification
from trainer.train_step import TrainStep

CHANNELS = Classification(classes=("red", "green", "blue"))
ALONE = World(device=torch.device("cpu"))


def toy_batches(count: int, *, size: int = 16) -> Iterator[Batch]:
    """Images whose label is the brightest of their three channels."""
    generator = torch.Generator().manual_seed(0)
    for number in range(count):
        images = torch.randint(256, (size, 3, 4, 4), dtype=torch.uint8, generator=generator)
        labels = images.float().mean((2, 3)).argmax(1)
        samples = np.arange(number * size, (number + 1) * size)
        yield Batch(images=images, targets=labels, samples=samples)


class Toy(nn.Module):
    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Flatten(), nn.Dropout(dropout), nn.Linear(48, 3))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layers(images.float() / 255 - 0.5)


def updates(model: nn.Module, **settings: Any) -> TrainStep:
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0, momentum=0.9)
    return TrainStep(model=model, optimizer=optimizer, **settings)


def test_learns_and_records_each_step() -> None:
    model = Toy()
    records = list(
        train_steps(toy_batches(200), updates(model), schedule=lambda _: 0.1, global_batch_size=16)
    )
    assert [record.position for record in records] == list(range(16, 201 * 16, 16))
    assert all(record.images == 16 and not record.loss.requires_grad for record in records)
    assert records[-1].loss < 0.8 * records[0].loss
    evaluation = evaluate(toy_batches(10), model, ALONE, CHANNELS)
    assert evaluation is not None
    assert evaluation.metrics["top1"] > 0.9
    assert model.training


def test_learns_from_mixed_batches() -> None:
    model = Toy()
    mix = Mixing(seed=0, classes=3, mixup_alpha=0.2, cutmix_alpha=1.0)
    steps = train_steps(
        toy_batches(200), updates(model), schedule=lambda _: 0.1, global_batch_size=16, mix=mix
    )
    assert sum(1 for _ in steps) == 200
    evaluation = evaluate(toy_batches(10), model, ALONE, CHANNELS)
    assert evaluation is not None
    assert evaluation.metrics["top1"] > 0.8


def test_the_rate_is_the_schedules_in_the_middle_of_the_step() -> None:
    model = Toy()
    steps = train_steps(
        toy_batches(3), updates(model), schedule=float, global_batch_size=16, position=160
    )
    assert [record.learning_rate for record in steps] == [168, 184, 200]


def test_what_dropout_draws_depends_on_seed_and_position_alone() -> None:
    def losses(*, position: int, seed: int) -> list[float]:
        model = Toy(dropout=0.5)
        torch.manual_seed(torch.seed())
        return [
            float(record.loss)
            for record in train_steps(
                toy_batches(2),
                updates(model),
                schedule=lambda _: 0.1,
                global_batch_size=16,
                position=position,
                seed=seed,
            )
        ]

    assert losses(position=32, seed=1) == losses(position=32, seed=1)
    assert losses(position=32, seed=1) != losses(position=48, seed=1)
    assert losses(position=32, seed=1) != losses(position=32, seed=2)


def test_evaluation_breaks_off_where_asked_to_stop() -> None:
    seen: list[int] = []

    def counted() -> Iterator[Batch]:
        for batch in toy_batches(10):
            seen.append(len(seen))
            yield batch

    assert evaluate(counted(), Toy(), ALONE, CHANNELS, stopped=lambda: len(seen) == 3) is None
    assert len(seen) == 3


def test_flips_are_reported_apart() -> None:
    model = Toy()
    plain = evaluate(toy_batches(5), model, ALONE, CHANNELS)
    both = evaluate(toy_batches(5), model, ALONE, CHANNELS, flips=True)
    assert plain is not None
    assert both is not None
    metrics = dict(both.metrics)
    flipped = metrics.pop("top1_with_flips")
    assert (metrics, both.counts, both.loss) == (plain.metrics, plain.counts, plain.loss)
    right = samples = 0
    for batch in toy_batches(5):
        outputs = model(batch.images) + model(batch.images.flip(3))
        right += (outputs.argmax(1) == batch.labels).sum().item()
        samples += len(batch.labels)
    assert flipped == pytest.approx(right / samples)
    assert flipped != plain.metrics["top1"]
