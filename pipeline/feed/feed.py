"""What DALI calls for each run: a planned group and its images, prepared ahead of time."""

from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from pipeline.daemon_thread import DaemonThread
from pipeline.dali.decode_graph import GraphConfig, source_images, source_outputs
from pipeline.errors import DataError
from pipeline.feed.bad_samples import ATTEMPTS, BadSamples, substitute
from pipeline.feed.fetch import Fetched, Fetcher, Integers
from pipeline.plan.plan import Plan, PlannedBatch
from pipeline.plan.step_groups import groups
from pipeline.storage.reader import Bytes
from pipeline.watchdog import StallWatchdog

# Batches that the kernel is told about before they are read: enough for a disk to sort requests.
ADVISED_BATCHES = 4
# Where shards are fetched, how far to look for those that come next: so many batches, and so many
# more in each step, so that the first batch needn't wait for them to be planned.
FURTHEST_BATCHES = 2000
CATCH_UP_BATCHES = 2

# DALI reads fed batches where they lie. Beyond its own queue stays the one that it is told to go on
# with, and on a GPU more, since the copy of a batch may still be under way when it is delivered.
KEPT_BATCHES, KEPT_BATCHES_ON_GPU = 1, 3


@dataclass(frozen=True)
class FedBatch:
    """What a group's `steps` take, the images of its samples and their masks where they have some,
    and what is `given` to DALI; `buffer` holds the most of them."""

    steps: range
    planned: PlannedBatch
    images: list[Any]
    masks: list[Any]
    given: tuple[Any, ...]
    buffer: Bytes | None


class Feed:
    """Prepares the plan's steps in a thread of its own, in order, `read_ahead` of them early, in
    groups of at most `group` steps.

    One thread is enough: order, parameters and reading from the page cache cost a few percent of
    decoding, and ``ShardReader.advise`` lets a disk serve many requests at once.
    """

    def __init__(
        self,
        supply: Fetcher,
        plan: Plan,
        graph: GraphConfig,
        *,
        group: int,
        read_ahead: int,
        bad: BadSamples,
        watch: StallWatchdog,
    ) -> None:
        self._supply, self._bad, self._watch = supply, bad, watch
        self._plan, self._graph, self._read_ahead = plan, graph, read_ahead
        self._thread = DaemonThread("shardline-feed")
        self._advised: deque[tuple[PlannedBatch, Integers]] = deque()  # the thread's alone
        self._unplanned, self._unsubmitted = groups(plan, group), groups(plan, group)
        self._planned_steps = self._taken_steps = 0  # the thread's alone
        self._submitted_steps = self._called_steps = 0
        self._pending: deque[Future[FedBatch]] = deque()
        self._kept: deque[FedBatch] = deque()
        kept = KEPT_BATCHES if graph.device_id is None else KEPT_BATCHES_ON_GPU
        self._most_kept = graph.prefetch + kept
        self._spares: deque[Bytes] = deque()
        self._undelivered: deque[FedBatch] = deque()

    def __call__(self, _: int) -> tuple[Any, ...]:
        """The next group as DALI takes it; ``StopIteration`` behind the last."""
        while self._submitted_steps - self._called_steps <= self._read_ahead:
            steps = next(self._unsubmitted, None)
            if steps is None:
                break
            self._pending.append(self._thread.submit(partial(self._prepare, steps)))
            self._submitted_steps = steps.stop
        if not self._pending:
            raise StopIteration
        with self._watch.waiting_for_feed():
            batch = self._pending.popleft().result()
        self._called_steps = batch.steps.stop
        self._kept.append(batch)
        if len(self._kept) > self._most_kept:
            buffer = self._kept.popleft().buffer
            if buffer is not None:
                self._spares.append(buffer)
        self._undelivered.append(batch)
        return batch.given

    def waiting(self) -> list[FedBatch]:
        """What DALI has got and not delivered, the oldest first."""
        return list(self._undelivered)

    def delivered(self) -> FedBatch:
        """What the images that DALI has just delivered were made from."""
        return self._undelivered.popleft()

    def close(self) -> None:
        """End the thread, which closes the supply; where it is stuck, leave it behind."""
        self._thread.close(finally_do=self._supply.close, wait=not self._watch.stalled)

    def _prepare(self, steps: range) -> FedBatch:
        self._plan_ahead()
        planned, advised = self._advised.popleft()
        self._taken_steps = steps.stop
        taken = self._supply.take(planned.samples, self._spares.popleft() if self._spares else None)
        self._supply.forget(advised)
        self._remember(planned.samples, taken)
        if places := self._bad.places(planned.samples):
            planned = self._exchange(planned, places, taken)
        self._watch.move()
        given = source_outputs(
            source_images(taken.images, self._graph), planned.parameters, self._graph, taken.masks
        )
        return FedBatch(steps, planned, taken.images, taken.masks, given, taken.buffer)

    def _plan_ahead(self) -> None:
        more = CATCH_UP_BATCHES
        while True:
            ahead = self._planned_steps - self._taken_steps
            if ahead > ADVISED_BATCHES:
                if not more or ahead > FURTHEST_BATCHES:
                    return
                if not self._supply.wants_more_advice():
                    return
                more -= 1
            if (steps := next(self._unplanned, None)) is None:
                return
            self._watch.move(f"planning step {steps.start}")
            planned = self._plan.planned(steps)
            self._advised.append((planned, self._supply.advise(planned.samples)))
            self._planned_steps = steps.stop

    def _remember(self, samples: Integers, taken: Fetched) -> None:
        for place, reason in taken.bad.items():
            self._bad.add(int(samples[place]), reason)

    def _exchange(self, planned: PlannedBatch, places: list[int], taken: Fetched) -> PlannedBatch:
        """The batch with good samples at `places`, whose images and masks are put into `taken`."""
        samples = []
        for place in places:
            visit, sample = int(planned.visits[place]), int(planned.samples[place])
            good, other = self._good(visit, sample)
            taken.images[place : place + 1] = other.images
            taken.masks[place : place + 1] = other.masks
            samples.append(good)
        return self._plan.with_samples(planned, places, samples)

    def _good(self, visit: int, sample: int) -> tuple[int, Fetched]:
        """The first good sample to take the place of `sample`, and what is supplied of it."""
        for attempt in range(ATTEMPTS):
            other = substitute(
                self._plan.seed, visit, sample, attempt, samples=len(self._bad.index)
            )
            if other in self._bad.reasons:
                continue
            samples = np.array([other])
            taken = self._supply.take(samples)
            if not taken.bad:
                return other, taken
            self._remember(samples, taken)
        raise DataError(f"No good sample was found in {ATTEMPTS} attempts: run tools/check.")
