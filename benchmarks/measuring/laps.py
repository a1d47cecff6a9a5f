"""Timed stretches of batches, on one rank or on all."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainer.distributed.collectives import World


@dataclass(frozen=True, kw_only=True)
class Lap:
    """What a stretch of batches cost; `cpu_seconds` are those of all threads of the process."""

    images: int
    seconds: float
    cpu_seconds: float

    @property
    def images_per_second(self) -> float:
        return self.images / self.seconds


@dataclass(frozen=True, kw_only=True)
class WorldLap(Lap):
    """A lap of all ranks: images and CPU seconds of all, from the barrier that all began at to the
    one that all had come to, by the clock of the rank that saw the longest time.

    Attributes:
        rank_seconds: until each rank was done with its own work.
    """

    rank_seconds: tuple[float, ...]


def lap(images: Iterator[int], seconds: float, synchronize: Callable[[], None]) -> Lap:
    """Draw from `images`, which yields the size of each batch it made, for `seconds` or a little
    more. `synchronize` waits for the device."""
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


def world_lap(work: Callable[[], int], world: "World", synchronize: Callable[[], None]) -> WorldLap:
    """Every rank does its `work`, which returns the images of this rank, between two barriers; all
    ranks get the same lap. `synchronize` waits for the device."""
    synchronize()
    world.barrier()
    start, cpu_start = time.perf_counter(), time.process_time()
    images = work()
    synchronize()
    own = time.perf_counter() - start
    world.barrier()
    rows = world.all_gather(
        [images, time.perf_counter() - start, time.process_time() - cpu_start, own]
    )
    counts, walls, cpus, owns = zip(*rows, strict=True)
    return WorldLap(
        images=int(sum(counts)),
        seconds=max(walls),
        cpu_seconds=sum(cpus),
        rank_seconds=tuple(owns),
    )
