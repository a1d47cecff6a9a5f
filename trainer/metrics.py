"""From step records to rates.

An interval lies between two moments at which all ranks have met, so that its images_per_second is
the whole world's and includes every wait.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from trainer.distributed import World
from trainer.loop import StepRecord


@dataclass(frozen=True, kw_only=True)
class Interval:
    """Steps between two meetings of the ranks, over all ranks.

    `loss` is the mean over the samples. The times are sums over the steps, as the mean of the
    ranks and as the largest of them.
    """

    position: int
    images: int
    seconds: float
    loss: float
    learning_rate: float
    data_seconds: float
    data_seconds_max: float
    compute_seconds: float
    compute_seconds_max: float

    @property
    def images_per_second(self) -> float:
        return self.images / self.seconds

    @property
    def data_share(self) -> float:
        """Share of the time that the rank which waited longest waited for batches."""
        return self.data_seconds_max / self.seconds

    def as_record(self) -> dict[str, Any]:
        return {
            **asdict(self),
            "images_per_second": self.images_per_second,
            "data_share": self.data_share,
        }


class Meter:
    """Collects the step records of this rank; ``start`` and ``stop`` are meetings of all ranks."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._records: list[StepRecord] = []
        self._started = 0.0

    @property
    def steps(self) -> int:
        return len(self._records)

    def start(self) -> None:
        self._world.barrier()
        self._records = []
        self._started = time.perf_counter()

    def add(self, record: StepRecord) -> None:
        self._records.append(record)

    def stop(self) -> Interval:
        """The interval since ``start``, which must hold a step; the next begins at once."""
        records = self._records
        # Reading the losses waits for the device: the interval ends when its steps are done.
        loss = float(torch.stack([record.loss for record in records]).mean())
        rows = self._world.gather(
            [
                loss,
                sum(record.images for record in records),
                sum(record.data_seconds for record in records),
                sum(record.compute_seconds for record in records),
            ]
        )
        now = time.perf_counter()
        interval = merge(rows, last=records[-1], seconds=now - self._started)
        self._records, self._started = [], now
        return interval


def merge(rows: Sequence[Sequence[float]], *, last: StepRecord, seconds: float) -> Interval:
    """One interval of the ranks' (loss, images, data_seconds, compute_seconds)."""
    losses, images, data, compute = zip(*rows, strict=True)
    return Interval(
        position=last.position,
        images=int(sum(images)),
        seconds=seconds,
        loss=sum(losses) / len(rows),
        learning_rate=last.learning_rate,
        data_seconds=sum(data) / len(rows),
        data_seconds_max=max(data),
        compute_seconds=sum(compute) / len(rows),
        compute_seconds_max=max(compute),
    )


@dataclass(frozen=True, kw_only=True)
class Throughput:
    """Images over the time of the intervals that made them; evaluations lie between intervals."""

    images: int
    seconds: float
    data_share: float

    @property
    def images_per_second(self) -> float:
        return self.images / self.seconds


def throughput(intervals: Iterable[Interval]) -> Throughput | None:
    """Total over `intervals`, None if there are none."""
    chosen = list(intervals)
    if not chosen:
        return None
    seconds = sum(interval.seconds for interval in chosen)
    return Throughput(
        images=sum(interval.images for interval in chosen),
        seconds=seconds,
        data_share=sum(interval.data_seconds_max for interval in chosen) / seconds,
    )
