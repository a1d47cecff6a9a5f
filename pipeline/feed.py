"""What DALI calls for each step: a planned batch and its bytes, prepared ahead of time."""

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.bad_samples import ATTEMPTS, BadSamples, substitute
from pipeline.dataset import SplitIndex
from pipeline.errors import DataError
from pipeline.graph import GraphConfig, source_outputs
from pipeline.plan import Plan, PlannedBatch
from pipeline.reader import DAMAGED, Bytes, ShardReader

# Batches that the kernel is told about before they are read: enough for a disk to sort requests.
ADVISED_BATCHES = 4

# DALI reads fed batches where they lie. On a GPU the copy of a batch may still be under way when
# it has been delivered, so some stay referenced beyond DALI's own queue.
KEPT_BATCHES = 3


@dataclass(frozen=True)
class FedBatch:
    """A planned batch and the encoded images of its samples; `buffer` holds the most of them."""

    planned: PlannedBatch
    encoded: list[Bytes]
    buffer: Bytes


class Feed:
    """Prepares the plan's steps in a thread of its own, in order, `read_ahead` of them early.

    One thread is enough: order, parameters and reading from the page cache cost a few percent of
    decoding, and ``ShardReader.advise`` lets a disk serve many requests at once.
    """

    def __init__(
        self,
        index: SplitIndex,
        plan: Plan,
        graph: GraphConfig,
        *,
        read_ahead: int,
        verify: bool,
        bad: BadSamples,
    ) -> None:
        self._reader = ShardReader(index, verify=verify)
        self._samples, self._bad = len(index), bad
        self._plan, self._graph, self._read_ahead = plan, graph, read_ahead
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="shardline-feed")
        self._advised: deque[PlannedBatch] = deque()  # the thread's alone
        self._planned_steps = self._submitted_steps = 0
        self._pending: deque[Future[FedBatch]] = deque()
        self._kept: deque[FedBatch] = deque()
        self._spares: deque[Bytes] = deque()
        self._undelivered: deque[FedBatch] = deque()

    def __call__(self, step: int) -> tuple[Any, ...]:
        """The next batch as DALI takes it; ``StopIteration`` behind the last."""
        if step == self._plan.steps:
            raise StopIteration
        while len(self._pending) <= self._read_ahead and self._submitted_steps != self._plan.steps:
            self._pending.append(self._thread.submit(self._prepare))
            self._submitted_steps += 1
        batch = self._pending.popleft().result()
        self._kept.append(batch)
        if len(self._kept) > self._graph.prefetch + KEPT_BATCHES:
            self._spares.append(self._kept.popleft().buffer)
        self._undelivered.append(batch)
        return source_outputs(batch.encoded, batch.planned.parameters, self._graph)

    def waiting(self) -> list[FedBatch]:
        """What DALI has got and not delivered, the oldest first."""
        return list(self._undelivered)

    def delivered(self) -> PlannedBatch:
        """What the batch that DALI has just delivered was made from."""
        return self._undelivered.popleft().planned

    def close(self) -> None:
        self._thread.shutdown(cancel_futures=True)
        self._reader.close()

    def _prepare(self) -> FedBatch:
        while len(self._advised) <= ADVISED_BATCHES and self._planned_steps != self._plan.steps:
            planned = self._plan.batch_at(self._planned_steps)
            self._reader.advise(planned.samples)
            self._advised.append(planned)
            self._planned_steps += 1
        planned = self._advised.popleft()
        spare = self._spares.popleft() if self._spares else None
        encoded, damaged = self._reader.read(planned.samples, spare)
        buffer = encoded[0].base
        assert isinstance(buffer, np.ndarray)
        for place in damaged:
            self._bad.add(int(planned.samples[place]), DAMAGED)
        if places := self._bad.places(planned.samples):
            planned = self._exchange(planned, places, encoded)
        return FedBatch(planned, encoded, buffer)

    def _exchange(
        self, planned: PlannedBatch, places: list[int], encoded: list[Bytes]
    ) -> PlannedBatch:
        """The batch with good samples at `places`, whose bytes are put into `encoded`."""
        samples = []
        for place in places:
            visit, sample = int(planned.visits[place]), int(planned.samples[place])
            good, encoded[place] = self._good(visit, sample)
            samples.append(good)
        return self._plan.with_samples(planned, places, samples)

    def _good(self, visit: int, sample: int) -> tuple[int, Bytes]:
        """The first good sample to take the place of `sample`, and its bytes."""
        for attempt in range(ATTEMPTS):
            other = substitute(self._plan.seed, visit, sample, attempt, samples=self._samples)
            if other in self._bad.reasons:
                continue
            (data,), damaged = self._reader.read(np.array([other]))
            if not damaged:
                return other, data
            self._bad.add(other, DAMAGED)
        raise DataError(f"No good sample was found in {ATTEMPTS} attempts: run tools/check.")
