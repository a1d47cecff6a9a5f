"""Rates and losses over intervals of steps.

An interval lies between two barriers of all ranks, so its images_per_second is the throughput of
all ranks and includes every wait.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import inf, isfinite
from pathlib import Path
from typing import Any

import torch

from trainer.distributed.collectives import World
from trainer.loop import StepRecord


@dataclass(frozen=True, kw_only=True)
class Interval:
    """Steps of all ranks between two barriers.

    Attributes:
        position: end of the last step.
        images: number of images of all ranks.
        seconds: duration of the interval.
        loss: mean over the samples.
        learning_rate: learning rate of the last step.
        data_seconds, data_seconds_max: time waiting for batches, summed over the steps: mean and
            maximum of the ranks.
        compute_seconds, compute_seconds_max: the same for the rest of the steps.
        memory_bytes: largest ``peak_memory_bytes`` of a rank so far.
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
    memory_bytes: int

    @property
    def images_per_second(self) -> float:
        return self.images / self.seconds

    @property
    def data_share(self) -> float:
        """Fraction of the time spent waiting for batches, on the rank that waited longest."""
        return self.data_seconds_max / self.seconds

    def as_record(self) -> dict[str, Any]:
        """Fields of a record of metrics.jsonl."""
        rates = {"images_per_second": self.images_per_second, "data_share": self.data_share}
        return asdict(self) | rates


class NonFiniteLossError(Exception):
    """The loss of some rank was nan or inf, first in the step that ends at `position`."""

    def __init__(self, position: int) -> None:
        super().__init__(position)
        self.position = position


class Meter:
    """Collects the step records of this rank; all ranks must call ``start`` and ``stop``."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._records: list[StepRecord] = []
        self._started = 0.0

    @property
    def steps(self) -> int:
        """Steps since the last ``start`` or ``stop``."""
        return len(self._records)

    def start(self) -> None:
        self._world.barrier()
        self._records = []
        self._started = time.perf_counter()

    def add(self, record: StepRecord) -> None:
        self._records.append(record)

    def stop(self) -> Interval:
        """End the interval, which must hold a step, and begin the next.

        Raises ``NonFiniteLossError`` on all ranks if it occurred on any.
        """
        records = self._records
        # Reading the losses waits for the device, so the interval includes all its computation.
        losses = torch.stack([record.loss for record in records]).tolist()
        pairs = zip(records, losses, strict=True)
        nonfinite = [record.position for record, loss in pairs if not isfinite(loss)]
        # The minimum over the ranks.
        first = -self._world.all_reduce_max([-min(nonfinite, default=inf)])[0]
        if isfinite(first):
            raise NonFiniteLossError(int(first))
        rows = self._world.all_gather(
            [
                sum(losses) / len(losses),
                sum(record.images for record in records),
                sum(record.data_seconds for record in records),
                sum(record.compute_seconds for record in records),
                peak_memory_bytes(self._world.device),
            ]
        )
        now = time.perf_counter()
        interval = merge_ranks(rows, last=records[-1], seconds=now - self._started)
        self._records, self._started = [], now
        return interval


def merge_ranks(rows: Sequence[Sequence[float]], *, last: StepRecord, seconds: float) -> Interval:
    """The interval that ends with step `last`; `rows` holds (loss, images, data_seconds,
    compute_seconds, memory_bytes) of each rank."""
    losses, images, data, compute, memory = zip(*rows, strict=True)
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
        memory_bytes=int(max(memory)),
    )


def peak_memory_bytes(device: torch.device) -> int:
    """Peak memory of this process: on a GPU that of torch's allocator, without DALI's; on the CPU
    the peak resident set."""
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device)
    # Not getrusage's ru_maxrss, which can be the peak of the parent process.
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024
