"""Runs of one rung: laps of the trainer's steps, or of the loader's batches alone."""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.measuring.laps import WorldLap, world_lap
from benchmarks.measuring.page_cache import disk_bytes
from benchmarks.scaling.inputs import LOADED, Inputs
from benchmarks.scaling.record import COLD, IN_STEP, LOADER, Rung
from pipeline.batches import Batch
from trainer.distributed.collectives import World
from trainer.loop import train_steps

Integers = NDArray[np.int64]

# Steps may take seconds on a CPU, and there are many rungs.
LEAST_STEPS = 2
# With a loader, which fills its queues meanwhile. The very first step is slow in any case.
LEAST_LEAD = 2


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a lap took; the same on all ranks. Seconds are those of the whole lap."""

    lap: WorldLap
    steps: int
    data_seconds: float
    wait_seconds: float
    disk_bytes: float
    stored_bytes: float


@dataclass(kw_only=True)
class Laps:
    """A contender: each call opens the rung at position 0, leads in, and measures a lap.

    Attributes:
        whole: all ranks, which begin together, also those that only wait.
        seconds: that a lap takes at least.
        steps: of a lap, counted in the first call: on all ranks the same. Whole groups of those
            that DALI decodes in a run.
        lead: steps before the lap. With a loader as many as it may be ahead, but no longer than
            half of `seconds`, in which it is, too, where it is faster than the model.
    """

    rung: str
    inputs: Inputs
    whole: World
    seconds: float
    steps: int = 0
    lead: int = 1
    runs: list[Run] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.rung in LOADED:
            self.lead = LEAST_LEAD

    @property
    def world(self) -> World:
        return self.inputs.job.world

    def __call__(self) -> float:
        """The world's images/s."""
        self.whole.barrier()
        self.inputs.prepare(self.rung, self.lead + self.steps)
        self.world.barrier()
        seen: list[Integers] = []
        with self.inputs.open(self.rung) as batches, self.inputs.exchanging(self.rung):
            steps = self._steps(batches, seen)
            for _ in range(self.lead):
                next(steps)
            if not self.steps:
                self._count(steps)
            if self.rung == COLD:
                # What was read ahead while leading in is no longer ready.
                self.inputs.prepare(self.rung, self.steps)
            seen.clear()
            self.runs.append(self._lap(steps, seen))
        return self.runs[-1].lap.images_per_second

    def result(self, runs: int) -> Rung:
        """Of the last `runs`."""
        counted = self.runs[-runs:]
        stored = sum(run.stored_bytes for run in counted)
        disk = sum(run.disk_bytes for run in counted)
        known = self.rung in LOADED and math.isfinite(disk)
        return Rung(
            step_seconds=tuple(run.lap.seconds / run.steps for run in counted),
            rank_seconds=tuple(
                tuple(seconds / run.steps for seconds in run.lap.rank_seconds) for run in counted
            ),
            data_seconds=tuple(run.data_seconds / run.steps for run in counted),
            wait_seconds=tuple(run.wait_seconds / run.steps for run in counted)
            if self.rung == IN_STEP
            else None,
            disk_share=disk / stored if known else None,
            steps=self.steps,
        )

    def _steps(self, batches: Iterator[Batch], seen: list[Integers]) -> Iterator[tuple[int, float]]:
        """(images, seconds that their batch was waited for) of each step."""
        if self.rung == LOADER:
            return _drawn(batches, seen)
        return self._trained(batches, seen)

    def _trained(
        self, batches: Iterator[Batch], seen: list[Integers]
    ) -> Iterator[tuple[int, float]]:
        job = self.inputs.job

        def watched() -> Iterator[Batch]:
            for batch in batches:
                seen.append(batch.samples)
                yield batch

        for record in train_steps(
            watched(),
            job.update,
            schedule=job.schedule,
            global_batch_size=job.settings.recipe.global_batch_size,
            seed=hash((job.settings.pipeline.seed, job.world.rank)),
            mix=job.mix,
        ):
            yield record.images, record.data_seconds

    def _count(self, steps: Iterator[tuple[int, float]]) -> None:
        loaded = self.rung in LOADED
        group = self.inputs.group if loaded else 1
        self._synchronize()
        started = time.perf_counter()
        for _ in range(group):
            next(steps)
        self._synchronize()
        (slowest,) = self.world.all_reduce_max([(time.perf_counter() - started) / group])
        long_enough = math.ceil(self.seconds / slowest)
        if loaded:
            self.lead = max(LEAST_LEAD, min(self.inputs.ahead, long_enough // 2))
        self.steps = group * math.ceil(max(LEAST_STEPS, long_enough) / group)

    def _lap(self, steps: Iterator[tuple[int, float]], seen: Sequence[Integers]) -> Run:
        data_seconds, waits = 0.0, []

        def work() -> int:
            nonlocal data_seconds
            images = 0
            for _ in range(self.steps):
                count, waited = next(steps)
                images += count
                data_seconds += waited
                if self.rung == IN_STEP:
                    waits.append(self._meet())
            return images

        before = disk_bytes()
        lap = world_lap(work, self.world, self._synchronize)
        after = disk_bytes()
        read = math.nan if before is None or after is None else after - before
        sizes = self.inputs.stream.context.index.samples["size"]
        stored = sum(int(sizes[samples].sum()) for samples in seen)
        rows = self.world.all_gather([data_seconds, read, stored, *waits])
        table = np.array(rows).T
        (data, disk, size), waited = table[:3], table[3:]
        return Run(
            lap=lap,
            steps=self.steps,
            data_seconds=float(data.mean()),
            # The last rank waits for nobody: what it takes is the meeting itself.
            wait_seconds=float((waited.mean(axis=1) - waited.min(axis=1)).sum()),
            disk_bytes=float(disk.sum()),
            stored_bytes=float(size.sum()),
        )

    def _meet(self) -> float:
        """Seconds that this rank, done with its step, waits for the others."""
        self._synchronize()
        started = time.perf_counter()
        self.world.barrier()
        return time.perf_counter() - started

    def _synchronize(self) -> None:
        if self.world.device.type == "cuda":
            torch.cuda.synchronize(self.world.device)


def _drawn(batches: Iterator[Batch], seen: list[Integers]) -> Iterator[tuple[int, float]]:
    while True:
        started = time.perf_counter()
        batch = next(batches)
        seen.append(batch.samples)
        yield len(batch.samples), time.perf_counter() - started
