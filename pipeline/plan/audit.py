"""python -m pipeline.plan.audit: is each sample in an epoch once, and how well is it shuffled?"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from pipeline.config import PipelineConfig, open_dataset
from pipeline.errors import DataError
from pipeline.options import Command, options, pick_fields, setting
from pipeline.plan.order import Order
from pipeline.plan.plan import order_of
from pipeline.plan.ranks import step_positions
from pipeline.storage.dataset import SplitIndex

Integers = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class AuditConfig:
    global_batch_size: int = setting(
        840, "Samples in a step; 840 can be shared by each of 1 to 8 ranks."
    )
    epochs: int = setting(2, "Epochs to look at, two at least.")
    split: str = setting("train", "Split to look at.")


@dataclass(frozen=True, kw_only=True)
class Quality:
    """What was measured of an order, and beside it what an ideal shuffle has on average.

    Attributes:
        run_length: mean number of samples of one class in a row.
        correlation: of a sample's places in the first two epochs, -1 to 1.
        shards: how many shards a step reads.
    """

    run_length: tuple[float, float]
    correlation: tuple[float, float]
    shards: tuple[float, float]


def audit(
    order: Order,
    samples: int,
    *,
    global_batch_size: int,
    world_sizes: Iterable[int],
    epochs: int,
) -> dict[int, list[int]]:
    """World size -> how many samples of each epoch don't come exactly once, over all ranks, if it
    is run step by step from position 0. All zeros: each epoch is each sample once."""
    return {
        world_size: _strays(order, samples, global_batch_size, world_size, epochs)
        for world_size in world_sizes
    }


def _strays(
    order: Order, samples: int, global_batch_size: int, world_size: int, epochs: int
) -> list[int]:
    counts = np.zeros((epochs, samples), np.int32)
    for step in range(-(-samples * epochs // global_batch_size)):
        for rank in range(world_size):
            positions = step_positions(
                step,
                start=0,
                global_batch_size=global_batch_size,
                rank=rank,
                world_size=world_size,
            )
            positions = positions[positions < samples * epochs]
            _, chosen = order(positions)
            np.add.at(counts, (positions // samples, chosen), 1)
    return [int((epoch != 1).sum()) for epoch in counts]


def measure_quality(order: Order, index: SplitIndex, global_batch_size: int) -> Quality:
    """Of the first epoch, and its correlation with the second."""
    count = len(index)
    first, second = (order(np.arange(count) + epoch * count)[1] for epoch in (0, 1))
    # Every label is -1 unless the task is classification: bincount takes none below 0.
    labels, shards = index.samples["label"][first] + 1, index.samples["shard"][first]
    shares = np.bincount(labels) / count
    return Quality(
        run_length=(count / (1 + np.count_nonzero(np.diff(labels))), 1 / (1 - (shares**2).sum()))
        if shares.max() < 1
        else (count, count),
        correlation=(float(np.corrcoef(_places(first), _places(second))[0, 1]), 0.0),
        shards=_shards_per_step(shards, min(global_batch_size, count)),
    )


def _places(chosen: Integers) -> Integers:
    """Where each sample stands; its last place if it comes oftener, -1 if it doesn't come."""
    places = np.full(len(chosen), -1)
    places[chosen] = np.arange(len(chosen))
    return places


def _shards_per_step(shards: NDArray[np.uint32], step: int) -> tuple[float, float]:
    """Measured over whole steps, and expected of samples drawn alike."""
    steps = shards[: len(shards) // step * step].reshape(-1, step)
    measured = float(np.mean([len(np.unique(row)) for row in steps]))
    shares = np.bincount(shards) / len(shards)
    return measured, float((1 - (1 - shares) ** step).sum())


@click.command(cls=Command, name="audit")
@options(AuditConfig, PipelineConfig)
def main(**values: Any) -> None:
    """Prove that each epoch is each sample once, on each of 1 to 8 ranks that can share a step
    equally, and measure the shuffle."""
    asked, config = pick_fields(AuditConfig, values), pick_fields(PipelineConfig, values)
    index = open_dataset(config).split(asked.split)
    order = order_of(index, config)
    console = Console()
    if config.sample_weights == "none" and config.repeats == 1:
        world_sizes = [size for size in range(1, 9) if asked.global_batch_size % size == 0]
        found = audit(
            order,
            len(index),
            global_batch_size=asked.global_batch_size,
            world_sizes=world_sizes,
            epochs=asked.epochs,
        )
        wrong = {world_size: strays for world_size, strays in found.items() if any(strays)}
        if wrong:
            raise DataError(f"Samples that don't come exactly once, by world size: {wrong}.")
        console.print(
            f"{asked.epochs} epochs of {len(index):,} samples on {_listed(world_sizes)} rank(s): "
            f"each epoch is each sample once."
        )
    else:
        console.print("Samples are drawn or repeated: an epoch isn't each sample once.")
    _show(measure_quality(order, index, asked.global_batch_size), console)


def _listed(numbers: list[int]) -> str:
    """1, 2 or 4."""
    *first, last = map(str, numbers)
    return f"{', '.join(first)} or {last}" if first else last


def _show(quality: Quality, console: Console) -> None:
    table = Table("shuffle", "measured", "ideal")
    rows = {
        "samples of one class in a row, mean": quality.run_length,
        "correlation of an epoch's places with the next's": quality.correlation,
        "shards that a step reads, mean": quality.shards,
    }
    for name, (measured, ideal) in rows.items():
        table.add_row(name, f"{measured:.3f}", f"{ideal:.3f}")
    console.print(table)


if __name__ == "__main__":
    main()
