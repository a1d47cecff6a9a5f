"""python -m pipeline.plan.audit: check that epochs have each sample once; measure the shuffle."""

from dataclasses import dataclass
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from pipeline.arrays import Integers
from pipeline.config import PipelineConfig, open_dataset
from pipeline.console import print_line
from pipeline.errors import DataError
from pipeline.fold_index import open_index
from pipeline.options import Command, options, pick_fields, setting
from pipeline.plan.order import Order, renumbered
from pipeline.plan.plan import order_of
from pipeline.plan.ranks import step_positions
from pipeline.storage.dataset import SplitIndex
from pipeline.table import Table, print_table


@dataclass(frozen=True, kw_only=True)
class AuditConfig:
    global_batch_size: int = setting(
        840, "Samples per step, summed over all ranks; 840 is divisible by 1 to 8 ranks."
    )
    epochs: int = setting(2, "Epochs to check.")
    split: str = setting("train", "Split to check.")


@dataclass(frozen=True, kw_only=True)
class Quality:
    """Measures of an order: each is (measured, mean of an ideal shuffle).

    Attributes:
        run_length: mean number of consecutive samples of one class.
        correlation: of a sample's indices in the first two epochs, -1 to 1.
        shards: mean number of shards that a step reads.
    """

    run_length: tuple[float, float]
    correlation: tuple[float, float]
    shards: tuple[float, float]


def audit(
    order: Order, samples: int, *, global_batch_size: int, world_size: int, epochs: int
) -> list[int]:
    """Count, for each epoch, the samples that it does not have exactly once over all ranks, step by
    step from position 0. All counts of a correct order are 0."""
    counts = np.zeros((epochs, samples), np.int32)
    for step in range(-(-samples * epochs // global_batch_size)):
        for rank in range(world_size):
            positions = step_positions(
                step, start=0, global_batch_size=global_batch_size, rank=rank, world_size=world_size
            )
            positions = positions[positions < samples * epochs]
            np.add.at(counts, (positions // samples, order(positions)[1]), 1)
    return [int((epoch != 1).sum()) for epoch in counts]


def measure_quality(order: Order, index: SplitIndex, global_batch_size: int) -> Quality:
    """Measure the first epoch, and its correlation with the second."""
    count = len(index)
    first, second = (order(np.arange(count) + epoch * count)[1] for epoch in (0, 1))
    numbers = np.searchsorted(index.rows(), [first, second])
    # Labels are -1 unless the task is classification; bincount needs them from 0.
    labels, shards = index.samples["label"][first] + 1, index.samples["shard"][first]
    fractions = np.bincount(labels) / count
    run_length = count / (1 + np.count_nonzero(np.diff(labels)))
    ideal = 1 / (1 - (fractions**2).sum()) if fractions.max() < 1 else count
    correlation = np.corrcoef([_epoch_indices(samples) for samples in numbers])[0, 1]
    return Quality(
        run_length=(run_length, ideal),
        correlation=(float(correlation), 0.0),
        shards=_shards_per_step(shards, min(global_batch_size, count)),
    )


def _epoch_indices(samples: Integers) -> Integers:
    """The index of each sample in the epoch; its last index if it occurs several times, else -1."""
    indices = np.full(len(samples), -1)
    indices[samples] = np.arange(len(samples))
    return indices


def _shards_per_step(shards: NDArray[np.uint32], step: int) -> tuple[float, float]:
    """Mean number of shards of a step: measured over whole steps, and of an ideal shuffle."""
    steps = shards[: len(shards) // step * step].reshape(-1, step)
    measured = float(np.mean([len(np.unique(row)) for row in steps]))
    fractions = np.bincount(shards) / len(shards)
    return measured, float((1 - (1 - fractions) ** step).sum())


@click.command(cls=Command, name="audit")
@options(AuditConfig, PipelineConfig)
def main(**values: Any) -> None:
    """Check that each epoch has each sample exactly once, for each of 1 to 8 ranks that divide the
    global batch size, and measure the shuffle."""
    settings, config = pick_fields(AuditConfig, values), pick_fields(PipelineConfig, values)
    index = open_index(open_dataset(config), config, settings.split)
    order = order_of(index, config)
    if config.sample_weights == "none" and config.repeats == 1:
        world_sizes = [size for size in range(1, 9) if settings.global_batch_size % size == 0]
        sizes = {"global_batch_size": settings.global_batch_size, "epochs": settings.epochs}
        rows = index.rows()
        numbered = renumbered(order, lambda samples: np.searchsorted(rows, samples))
        counts = {
            size: audit(numbered, len(index), world_size=size, **sizes) for size in world_sizes
        }
        if wrong := {size: epochs for size, epochs in counts.items() if any(epochs)}:
            raise DataError(
                f"Epochs have some samples not at all or several times. Numbers of these by world "
                f"size: {wrong}."
            )
        print_line(
            f"Each epoch has each sample once: {settings.epochs} epochs of {len(index):,} samples, "
            f"world sizes {', '.join(map(str, world_sizes))}."
        )
    else:
        print_line("Samples are drawn or repeated: an epoch does not have each sample once.")
    print_quality(measure_quality(order, index, settings.global_batch_size))


def print_quality(quality: Quality) -> None:
    """Print a row for each measure."""
    rows = {
        "consecutive samples of one class, mean": quality.run_length,
        "correlation of samples' indices in two epochs": quality.correlation,
        "shards per step, mean": quality.shards,
    }
    cells = [(name, f"{measured:.3f}", f"{ideal:.3f}") for name, (measured, ideal) in rows.items()]
    print_table(Table(headers=("shuffle", "measured", "ideal"), rows=cells))


if __name__ == "__main__":
    main()
