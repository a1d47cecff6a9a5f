"""Laps of one rung: steps of the trainer, or batches of the loader without a model."""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from benchmarks.measuring.laps import WorldLap, measure_world_lap, synchronize
from benchmarks.measuring.page_cache import disk_bytes
from benchmarks.scaling.inputs import LOADED, Inputs
from benchmarks.scaling.record import COLD, LOADER, LOCKSTEP, Rung
from pipeline.batch import Batch
from trainer.distributed.collectives import World
from trainer.loop import train_steps

Integers = NDArray[np.int64]
# (images, seconds that the step waited for its batch) of each step.
Steps = Iterator[tuple[int, float]]

# Steps can take seconds on a CPU, and there are many rungs.
MIN_STEPS = 2
# Steps before a lap with a loader, which fills its queues meanwhile. The first step is always slow.
MIN_LEAD = 2


@dataclass(frozen=True, kw_only=True)
class StepsLap:
    """A lap with its waits and bytes, of all ranks. Seconds are those of the whole lap."""

    lap: WorldLap
    data_seconds: float
    wait_seconds: float
    disk_bytes: float
    stored_bytes: float


@dataclass(kw_only=True)
class TimedSteps:
    """A candidate: each call opens the rung at position 0, makes `lead` steps, and measures a lap.

    Attributes:
        whole: the world of all ranks, which start together; some of them only wait.
        seconds: minimum duration of a lap.
        steps: of a lap, the same on all ranks: a multiple of the steps that DALI decodes in one
            run. The first call sets it.
        lead: with a loader the steps that it can be ahead, but at most half of `seconds`, which is
            enough for a loader that is faster than the model.
    """

    rung: str
    inputs: Inputs
    whole: World
    seconds: float
    steps: int = 0
    lead: int = 1
    laps: list[StepsLap] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.rung in LOADED:
            self.lead = MIN_LEAD

    @property
    def world(self) -> World:
        return self.inputs.run.world

    def __call__(self) -> float:
        """The world's images/s."""
        self.whole.barrier()
        self.inputs.prepare(self.rung, self.lead + self.steps)
        self.world.barrier()
        seen: list[Integers] = []
        with self.inputs.open(self.rung) as batches, self.inputs.gradient_exchange(self.rung):
            steps = self._drawn(batches, seen) if self.rung == LOADER else self._run(batches, seen)
            for _ in range(self.lead):
                next(steps)
            if not self.steps:
                self._choose_length(steps)
            if self.rung == COLD:
                # Drops what was read ahead during the lead.
                self.inputs.prepare(self.rung, self.steps)
            seen.clear()
            self.laps.append(self._lap(steps, seen))
        return self.laps[-1].lap.images_per_second

    def to_rung(self, runs: int) -> Rung:
        """The figures of the last `runs` laps, per step."""
        laps, steps = self.laps[-runs:], self.steps
        stored = sum(lap.stored_bytes for lap in laps)
        disk = sum(lap.disk_bytes for lap in laps)
        waits = tuple(lap.wait_seconds / steps for lap in laps)
        return Rung(
            step_seconds=tuple(lap.lap.seconds / steps for lap in laps),
            rank_seconds=tuple(
                tuple(seconds / steps for seconds in lap.lap.rank_seconds) for lap in laps
            ),
            data_seconds=tuple(lap.data_seconds / steps for lap in laps),
            wait_seconds=waits if self.rung == LOCKSTEP else None,
            disk_share=disk / stored if self.rung in LOADED and math.isfinite(disk) else None,
            steps=steps,
        )

    def _run(self, batches: Iterator[Batch], seen: list[Integers]) -> Steps:
        """Training steps; appends the samples of each batch to `seen`."""
        run = self.inputs.run

        def recorded() -> Iterator[Batch]:
            for batch in batches:
                seen.append(batch.samples)
                yield batch

        for record in train_steps(
            recorded(),
            run.train_step,
            schedule=run.schedule,
            global_batch_size=run.settings.recipe.global_batch_size,
            seed=hash((run.settings.pipeline.seed, run.world.rank)),
            mix=run.mix,
        ):
            yield record.images, record.data_seconds

    def _drawn(self, batches: Iterator[Batch], seen: list[Integers]) -> Steps:
        """Batches without a model."""
        while True:
            started = time.perf_counter()
            batch = next(batches)
            seen.append(batch.samples)
            yield len(batch.samples), time.perf_counter() - started

    def _choose_length(self, steps: Steps) -> None:
        loaded = self.rung in LOADED
        group = self.inputs.group if loaded else 1
        synchronize(self.world.device)
        started = time.perf_counter()
        for _ in range(group):
            next(steps)
        synchronize(self.world.device)
        (slowest,) = self.world.all_reduce_max([(time.perf_counter() - started) / group])
        long_enough = math.ceil(self.seconds / slowest)
        if loaded:
            self.lead = max(MIN_LEAD, min(self.inputs.max_lookahead, long_enough // 2))
        self.steps = group * math.ceil(max(MIN_STEPS, long_enough) / group)

    def _lap(self, steps: Steps, seen: Sequence[Integers]) -> StepsLap:
        data_seconds, waits = 0.0, []

        def work() -> int:
            nonlocal data_seconds
            images = 0
            for _ in range(self.steps):
                count, waited = next(steps)
                images += count
                data_seconds += waited
                if self.rung == LOCKSTEP:
                    waits.append(self._wait_for_ranks())
            return images

        before = disk_bytes()
        lap = measure_world_lap(work, self.world)
        after = disk_bytes()
        disk = math.nan if before is None or after is None else after - before
        sizes = self.inputs.stream.context.index.samples["size"]
        stored = sum(int(sizes[samples].sum()) for samples in seen)
        by_rank = np.array(self.world.all_gather([data_seconds, disk, stored, *waits])).T
        (data, disks, bytes_), waited_seconds = by_rank[:3], by_rank[3:]
        return StepsLap(
            lap=lap,
            data_seconds=float(data.mean()),
            # The last rank does not wait: its time is the cost of the barrier.
            wait_seconds=float((waited_seconds.mean(axis=1) - waited_seconds.min(axis=1)).sum()),
            disk_bytes=float(disks.sum()),
            stored_bytes=float(bytes_.sum()),
        )

    def _wait_for_ranks(self) -> float:
        """Seconds that this rank, after its step, waits for the others."""
        synchronize(self.world.device)
        started = time.perf_counter()
        self.world.barrier()
        return time.perf_counter() - started
