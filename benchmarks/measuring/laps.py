"""Timed sequences of batches (laps), on one rank or on all ranks."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from trainer.distributed.collectives import World


@dataclass(frozen=True, kw_only=True)
class Lap:
    """Cost of a sequence of batches; `cpu_seconds` of all threads of the process."""

    images: int
    seconds: float
    cpu_seconds: float

    @property
    def images_per_second(self) -> float:
        return self.images / self.seconds


@dataclass(frozen=True, kw_only=True)
class WorldLap(Lap):
    """A lap of all ranks: the sums of their images and CPU seconds, and the longest time that a
    rank measured between the two barriers.

    Attributes:
        rank_seconds: time until each rank finished its own work.
    """

    rank_seconds: tuple[float, ...]


def measure_lap(images: Iterator[int], seconds: float, synchronize: Callable[[], None]) -> Lap:
    """Draw from `images`, which yields batch sizes, for at least `seconds`. `synchronize` waits
    for the device."""
    synchronize()
    start, cpu_start, count, elapsed = time.perf_counter(), time.process_time(), 0, 0.0
    while elapsed < seconds:
        count += next(images)
        elapsed = time.perf_counter() - start
    synchronize()
    return Lap(
        images=count,
        seconds=time.perf_counter() - start,
        cpu_seconds=time.process_time() - cpu_start,
    )


def measure_world_lap(work: Callable[[], int], world: "World") -> WorldLap:
    """Call `work`, which returns the number of images of this rank, on every rank between two
    barriers; all ranks return the same lap."""
    synchronize(world.device)
    world.barrier()
    start, cpu_start = time.perf_counter(), time.process_time()
    images = work()
    synchronize(world.device)
    rank_seconds = time.perf_counter() - start
    world.barrier()
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
    rows = world.all_gather([images, seconds, cpu_seconds, rank_seconds])
    counts, walls, cpus, ranks = zip(*rows, strict=True)
    return WorldLap(
        images=int(sum(counts)), seconds=max(walls), cpu_seconds=sum(cpus), rank_seconds=ranks
    )


def synchronize(device: "torch.device") -> None:
    """Wait until a GPU has finished its work; does nothing on a CPU."""
    if device.type == "cuda":
        import torch

        torch.cuda.synchronize(device)
