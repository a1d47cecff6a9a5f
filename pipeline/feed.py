"""What DALI calls for each step: a planned batch and its bytes, prepared ahead of time."""

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.dataset import SplitIndex
from pipeline.graph import GraphConfig, source_outputs
from pipeline.plan import Plan, PlannedBatch
from pipeline.reader import Bytes, ShardReader

# Batches that the kernel is told about before they are read: enough for a disk to sort requests.
ADVISED_BATCHES = 4

# DALI reads fed batches where they lie. On a GPU the copy of a batch may still be under way when
# it has been delivered, so some stay referenced beyond DALI's own queue.
KEPT_BATCHES = 3


@dataclass(frozen=True)
class FedBatch:
    """A planned batch and the encoded images of its samples, views of one buffer."""

    planned: PlannedBatch
    encoded: list[Bytes]

    @property
    def buffer(self) -> Bytes:
        base = self.encoded[0].base
        assert isinstance(base, np.ndarray)
        return base


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
    ) -> None:
        self._reader = ShardReader(index, verify=verify)
        self._plan, self._graph, self._read_ahead = plan, graph, read_ahead
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="shardline-feed")
        self._advised: deque[PlannedBatch] = deque()  # the thread's alone
        self._planned_steps = self._submitted_steps = 0
        self._pending: deque[Future[FedBatch]] = deque()
        self._kept: deque[FedBatch] = deque()
        self._spares: deque[Bytes] = deque()
        self._undelivered: deque[PlannedBatch] = deque()

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
        self._undelivered.append(batch.planned)
        return source_outputs(batch.encoded, batch.planned.parameters, self._graph)

    def oldest(self) -> PlannedBatch:
        """What DALI's next batch is made from."""
        return self._undelivered[0]

    def delivered(self) -> PlannedBatch:
        """What the batch that DALI has just delivered was made from."""
        return self._undelivered.popleft()

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
        return FedBatch(planned, self._reader.read(planned.samples, spare))
