"""The callback that gives DALI each group of steps, prepared ahead of time."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from pipeline.arrays import Bytes, Integers
from pipeline.daemon_thread import DaemonThread
from pipeline.dali.decode_graph import GraphConfig, source_images, source_outputs
from pipeline.errors import DataError
from pipeline.feed.bad_samples import ATTEMPTS, BadSamples, substitute
from pipeline.feed.fetch import Fetched, Fetcher
from pipeline.plan.decode_groups import groups
from pipeline.plan.plan import Plan, PlannedBatch
from pipeline.watchdog import StallWatchdog

# Steps that are announced to the kernel before they are read: enough for a disk to sort requests.
ADVISED_STEPS = 4
# For shards at a URL: the most steps to plan ahead in search of the next shards, and how many more
# of them to plan in each step, so that the first batch doesn't wait for all that planning.
MAX_PLANNED_STEPS = 2000
PLANNED_PER_STEP = 2

# DALI reads inputs in place. Besides those in DALI's own queue, the input of the running iteration
# must stay in memory, and on a GPU more: copies of a delivered batch may still be running.
RETAINED, RETAINED_ON_GPU = 1, 3


@dataclass(frozen=True)
class FedBatch:
    """The input of one run of DALI.

    Attributes:
        steps: the group of steps.
        planned, images, masks: their samples; `masks` is empty without masks.
        outputs: what the feed returned to DALI.
        buffer: memory that holds most of it, None if it can't be reused.
    """

    steps: range
    planned: PlannedBatch
    images: list[Any]
    masks: list[Any]
    outputs: tuple[Any, ...]
    buffer: Bytes | None


class Feed:
    """Prepares the plan's steps in order in its own thread, `read_ahead` steps early, in groups of
    at most `group` steps.

    One thread is enough: order, parameters and reading from the page cache take a few percent of
    the decoding time, and ``ShardReader.advise`` lets a disk serve many requests at once.
    """

    def __init__(
        self,
        fetcher: Fetcher,
        plan: Plan,
        graph: GraphConfig,
        *,
        group: int,
        read_ahead: int,
        bad: BadSamples,
        watchdog: StallWatchdog,
        at_start: Callable[[], None] | None = None,
    ) -> None:
        self._fetcher, self._bad, self._watchdog = fetcher, bad, watchdog
        self._plan, self._graph, self._read_ahead = plan, graph, read_ahead
        self._thread = DaemonThread("shardline-feed", at_start=at_start)
        self._advised: deque[tuple[PlannedBatch, Integers]] = deque()  # used by the thread only
        self._unplanned, self._unsubmitted = groups(plan, group), groups(plan, group)
        self._planned_steps = self._fetched_steps = 0  # used by the thread only
        self._submitted_steps = self._called_steps = 0
        self._pending: deque[Future[FedBatch]] = deque()
        self._retained: deque[FedBatch] = deque()
        retained = RETAINED if graph.device_id is None else RETAINED_ON_GPU
        self._max_retained = graph.prefetch + retained
        self._spares: deque[Bytes] = deque()
        self._undelivered: deque[FedBatch] = deque()

    def __call__(self, _: int) -> tuple[Any, ...]:
        """DALI's input for the next group; raises ``StopIteration`` after the last."""
        while self._submitted_steps - self._called_steps <= self._read_ahead:
            steps = next(self._unsubmitted, None)
            if steps is None:
                break
            self._pending.append(self._thread.submit(partial(self._prepare, steps)))
            self._submitted_steps = steps.stop
        if not self._pending:
            raise StopIteration
        with self._watchdog.waiting_for_feed():
            batch = self._pending.popleft().result()
        self._called_steps = batch.steps.stop
        self._retained.append(batch)
        if len(self._retained) > self._max_retained:
            buffer = self._retained.popleft().buffer
            if buffer is not None:
                self._spares.append(buffer)
        self._undelivered.append(batch)
        return batch.outputs

    def undelivered(self) -> list[FedBatch]:
        """The inputs that DALI has got and not delivered, the oldest first."""
        return list(self._undelivered)

    def delivered(self) -> FedBatch:
        """The input of the images that DALI has just delivered."""
        return self._undelivered.popleft()

    def close(self) -> None:
        """Stop the thread, which then closes the fetcher; a stuck thread is left behind."""
        self._thread.close(finally_do=self._fetcher.close, wait=not self._watchdog.stalled)

    def _prepare(self, steps: range) -> FedBatch:
        self._plan_ahead()
        planned, advised = self._advised.popleft()
        self._fetched_steps = steps.stop
        spare = self._spares.popleft() if self._spares else None
        fetched = self._fetcher.fetch(planned.samples, spare)
        self._fetcher.release(advised)
        self._record_bad(planned.samples, fetched)
        if indices := self._bad.indices(planned.samples):
            planned = self._replace(planned, indices, fetched)
        self._watchdog.heartbeat()
        images = source_images(fetched.images, self._graph)
        outputs = source_outputs(images, planned.parameters, self._graph, fetched.masks)
        return FedBatch(steps, planned, fetched.images, fetched.masks, outputs, fetched.buffer)

    def _plan_ahead(self) -> None:
        remaining = PLANNED_PER_STEP
        while True:
            ahead = self._planned_steps - self._fetched_steps
            if ahead > ADVISED_STEPS:
                full = not remaining or ahead > MAX_PLANNED_STEPS
                if full or not self._fetcher.wants_more_advice():
                    return
                remaining -= 1
            if (steps := next(self._unplanned, None)) is None:
                return
            self._watchdog.heartbeat(f"planning step {steps.start}")
            planned = self._plan.planned(steps)
            self._advised.append((planned, self._fetcher.advise(planned.samples)))
            self._planned_steps = steps.stop

    def _record_bad(self, samples: Integers, fetched: Fetched) -> None:
        for i, reason in fetched.bad.items():
            self._bad.add(int(samples[i]), reason)

    def _replace(self, planned: PlannedBatch, indices: list[int], fetched: Fetched) -> PlannedBatch:
        """The batch with good samples at `indices`; their images and masks go into `fetched`."""
        samples = planned.samples.copy()
        for i in indices:
            samples[i], good = self._find_good(int(planned.visits[i]), int(samples[i]))
            fetched.images[i : i + 1] = good.images
            fetched.masks[i : i + 1] = good.masks
        return self._plan.with_samples(planned, samples, indices)

    def _find_good(self, visit: int, sample: int) -> tuple[int, Fetched]:
        """The first good replacement of `sample`, and its data."""
        for attempt in range(ATTEMPTS):
            number = substitute(
                self._plan.seed, visit, sample, attempt, samples=len(self._bad.index)
            )
            replacement = int(self._bad.index.rows(np.array([number]))[0])
            if replacement in self._bad.reasons:
                continue
            samples = np.array([replacement])
            fetched = self._fetcher.fetch(samples)
            if not fetched.bad:
                return replacement, fetched
            self._record_bad(samples, fetched)
        raise DataError(
            f"No good sample found in {ATTEMPTS} attempts to replace "
            f"{self._bad.index.describe(sample)}: run tools/check."
        )
