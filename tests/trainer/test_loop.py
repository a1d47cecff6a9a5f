"""The training loop and the evaluation loop."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.batch import Batch
from pipeline.mixup import Mixing
from trainer.distributed.collectives import World
from trainer.evaluation.loop import evaluate
from trainer.loop import train_steps
from trainer.tasks.classification import Classification
from trainer.train_step import TrainStep

CHANNELS = Classification(classes=("red", "green", "blue"))
ONE_RANK = World(device=torch.device("cpu"))


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


def build_train_step(model: nn.Module, **settings: Any) -> TrainStep:
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0, momentum=0.9)
    return TrainStep(model=model, optimizer=optimizer, **settings)


def test_learns_and_records_each_step() -> None:
    model = Toy()
    records = list(
        train_steps(
            toy_batches(200), build_train_step(model), schedule=lambda _: 0.1, global_batch_size=16
        )
    )
    assert [record.position for record in records] == list(range(16, 201 * 16, 16))
    assert all(record.images == 16 and not record.loss.requires_grad for record in records)
    assert records[-1].loss < 0.8 * records[0].loss
    evaluation = evaluate(toy_batches(10), model, ONE_RANK, CHANNELS)
    assert evaluation is not None
    assert evaluation.metrics["top1"] > 0.9
    assert model.training


@pytest.mark.long
def test_learns_from_mixed_batches() -> None:
    model = Toy()
    mix = Mixing(seed=0, classes=3, mixup_alpha=0.2, cutmix_alpha=1.0)
    steps = train_steps(
        toy_batches(200),
        build_train_step(model),
        schedule=lambda _: 0.1,
        global_batch_size=16,
        mix=mix,
    )
    assert sum(1 for _ in steps) == 200
    evaluation = evaluate(toy_batches(10), model, ONE_RANK, CHANNELS)
    assert evaluation is not None
    assert evaluation.metrics["top1"] > 0.8


def test_the_rate_is_that_in_the_middle_of_a_step() -> None:
    model = Toy()
    steps = train_steps(
        toy_batches(3), build_train_step(model), schedule=float, global_batch_size=16, position=160
    )
    assert [record.learning_rate for record in steps] == [168, 184, 200]


def test_dropout_depends_only_on_seed_and_position() -> None:
    def losses(*, position: int, seed: int) -> list[float]:
        model = Toy(dropout=0.5)
        torch.manual_seed(torch.seed())
        return [
            float(record.loss)
            for record in train_steps(
                toy_batches(2),
                build_train_step(model),
                schedule=lambda _: 0.1,
                global_batch_size=16,
                position=position,
                seed=seed,
            )
        ]

    assert losses(position=32, seed=1) == losses(position=32, seed=1)
    assert losses(position=32, seed=1) != losses(position=48, seed=1)
    assert losses(position=32, seed=1) != losses(position=32, seed=2)


def test_evaluation_stops_when_asked() -> None:
    fetched: list[int] = []

    def counted() -> Iterator[Batch]:
        for batch in toy_batches(10):
            fetched.append(len(fetched))
            yield batch

    assert evaluate(counted(), Toy(), ONE_RANK, CHANNELS, stopped=lambda: len(fetched) == 3) is None
    assert len(fetched) == 3


def test_flips_add_a_metric() -> None:
    model = Toy()
    plain = evaluate(toy_batches(5), model, ONE_RANK, CHANNELS)
    with_flips = evaluate(toy_batches(5), model, ONE_RANK, CHANNELS, flips=True)
    assert plain is not None
    assert with_flips is not None
    metrics = {name: with_flips.metrics[name] for name in plain.metrics}
    flipped = with_flips.metrics["top1_with_flips"]
    assert with_flips.metrics.keys() - metrics.keys() == {f"{name}_with_flips" for name in metrics}
    assert (metrics, with_flips.counts, with_flips.loss) == (
        plain.metrics,
        plain.counts,
        plain.loss,
    )
    correct = samples = 0
    for batch in toy_batches(5):
        outputs = model(batch.images) + model(batch.images.flip(3))
        correct += (outputs.argmax(1) == batch.labels).sum().item()
        samples += len(batch.labels)
    assert flipped == pytest.approx(correct / samples)
    assert flipped != plain.metrics["top1"]
