"""From step records to rates.

An interval lies between two moments at which all ranks have met, so that its images_per_second is
the whole world's and includes every wait.
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
    """Steps between two meetings of the ranks, over all ranks.

    `loss` is the mean over the samples. The times are sums over the steps, as the mean of the
    ranks and as the largest of them. `memory_bytes` is the most that a rank has held so far.
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
        """Share of the time that the rank which waited longest waited for batches."""
        return self.data_seconds_max / self.seconds

    def as_record(self) -> dict[str, Any]:
        return {
            **asdict(self),
            "images_per_second": self.images_per_second,
            "data_share": self.data_share,
        }


class NonFiniteLossError(Exception):
    """Some rank's loss was nan or inf, first in the step that ends at `position`."""

    def __init__(self, position: int) -> None:
        super().__init__(position)
        self.position = position


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
        """The interval since ``start``, which must hold a step; the next begins at once.

        Raises ``NonFiniteLossError``, on all ranks or on none.
        """
        records = self._records
        # Reading the losses waits for the device: the interval ends when its steps are done.
        losses = torch.stack([record.loss for record in records]).tolist()
        broken = [r.position for r, loss in zip(records, losses, strict=True) if not isfinite(loss)]
        # Positions are counted down, so that the largest is the first.
        first = -self._world.all_reduce_max([-min(broken, default=inf)])[0]
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
        interval = merge(rows, last=records[-1], seconds=now - self._started)
        self._records, self._started = [], now
        return interval


def merge(rows: Sequence[Sequence[float]], *, last: StepRecord, seconds: float) -> Interval:
    """One interval of the ranks' (loss, images, data_seconds, compute_seconds, memory_bytes)."""
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
    """The most that this process has held: of a GPU, by torch's allocator (what DALI has there is
    not torch's); on the CPU, resident."""
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device)
    # getrusage's ru_maxrss would be that of the process that started this one, if it was larger.
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024
