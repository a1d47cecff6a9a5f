"""This process among the ranks, and collective operations on host memory.

``World`` communicates over gloo, so that its operations never wait for a GPU. DDP exchanges the
gradients: over gloo on the CPU, over NCCL on GPUs.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import click
import torch
import torch.distributed as dist

from pipeline.errors import DataError
from pipeline.limits.cores import rank_cores
from trainer.distributed.exit import exit_silently
from trainer.distributed.failures import Failures

# gloo's reduction passes 2 (N - 1) messages in a row, each faster than one of Python's log2 N.
ROUNDS_FROM_RANKS = 17
# As DDP's.
BUCKET_BYTES = 25 * 2**20

Value = TypeVar("Value")
Row = TypeVar("Row")


def _buckets(tensors: Iterable[torch.Tensor]) -> Iterator[list[torch.Tensor]]:
    """Groups of neighbors of one dtype, with at most BUCKET_BYTES, or with one tensor."""
    bucket: list[torch.Tensor] = []
    size = 0
    for tensor in tensors:
        size += tensor.nbytes
        if bucket and (size > BUCKET_BYTES or tensor.dtype != bucket[0].dtype):
            yield bucket
            bucket, size = [], tensor.nbytes
        bucket.append(tensor)
    if bucket:
        yield bucket


@dataclass(frozen=True, kw_only=True)
class World:
    """This rank of a world of `world_size`, by the environment of torchrun.

    All ranks must call a collective operation. With one rank it needs no process group.

    Attributes:
        group: the ranks of a ``subgroup``; None for all ranks that torchrun started.
        failures: ends this process after a failure of one of several ranks.
        resources: what ``open_world`` closes at its end.
    """

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    local_world_size: int = 1
    device: torch.device
    group: dist.ProcessGroup | None = None
    failures: Failures | None = field(default=None, compare=False, repr=False)
    resources: ExitStack = field(default_factory=ExitStack, compare=False, repr=False)

    @property
    def threads(self) -> int:
        """CPU threads of this rank: its share of the cores available to the process."""
        return rank_cores(self.local_world_size)

    def subgroup(self, ranks: int) -> "World | None":
        """A world of the first `ranks` ranks; None on the others. All ranks must call this."""
        group: Any = None
        if 1 < ranks < self.world_size:
            group = dist.new_group(list(range(ranks)))
        return replace(self, world_size=ranks, group=group) if self.rank < ranks else None

    def all_gather(self, values: Sequence[float]) -> list[list[float]]:
        """The values of each rank, in float64; all ranks pass the same number of values."""
        row = torch.tensor(values, dtype=torch.float64)
        if self.world_size == 1:
            return [row.tolist()]
        rows = [torch.empty_like(row) for _ in range(self.world_size)]
        dist.all_gather(rows, row, group=self.group)
        return [row.tolist() for row in rows]

    def all_gather_objects(self, rows: Sequence[Row]) -> list[Row]:
        """The rows of all ranks, in rank order; ranks may pass different numbers of rows."""
        if self.world_size == 1:
            return list(rows)
        gathered: list[Any] = [None] * self.world_size
        dist.all_gather_object(gathered, list(rows), group=self.group)
        return [row for rank_rows in gathered for row in rank_rows]

    def gather_rows(self, rows: torch.Tensor) -> list[torch.Tensor]:
        """On rank 0 the `rows` (N, V) of each rank, on the host; N may differ, and V may be 0 for a
        rank without rows. On the other ranks nothing."""
        if self.world_size == 1:
            return [rows]
        sizes = self.all_gather(rows.shape)
        padded = rows.new_zeros([int(max(column)) for column in zip(*sizes, strict=True)])
        padded[: rows.shape[0], : rows.shape[1]] = rows
        parts = [torch.empty_like(padded) for _ in sizes] if self.rank == 0 else []
        if padded.numel():
            dist.gather(padded, parts or None, dst=0, group=self.group)
        return [part[: int(size)] for part, (size, _) in zip(parts, sizes, strict=False)]

    def all_reduce_max(self, values: Sequence[float]) -> list[float]:
        """The maximum of each value over the ranks, in float64."""
        row = torch.tensor(values, dtype=torch.float64)
        if self.world_size >= ROUNDS_FROM_RANKS:
            return self._max_in_rounds(row).tolist()
        if self.world_size > 1:
            dist.all_reduce(row, dist.ReduceOp.MAX, group=self.group)
        return row.tolist()

    def _max_in_rounds(self, row: torch.Tensor) -> torch.Tensor:
        """The maximum over the ranks after log2(ranks) messages in a row: after each of them a rank
        knows the maximum of twice as many ranks."""
        distance = 1
        while distance < self.world_size:
            other = torch.empty_like(row)
            after, before = self.rank + distance, self.rank - distance
            sent = dist.isend(row, after % self.world_size, group=self.group)
            dist.recv(other, before % self.world_size, group=self.group)
            if sent is not None:
                sent.wait()
            row = torch.maximum(row, other)
            distance *= 2
        return row

    def broadcast(self, value: Value) -> Value:
        """The `value` of rank 0."""
        if self.world_size == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values, src=0, group=self.group)
        return values[0]

    def copy_from_rank_0_(self, tensors: Iterable[torch.Tensor]) -> None:
        """Replace each tensor, on `device`, by that of rank 0."""
        if self.world_size > 1:
            for tensor in tensors:
                dist.broadcast(tensor, src=0, group=self.group)

    def all_reduce_mean_(self, tensors: Iterable[torch.Tensor]) -> None:
        """Replace each tensor, on `device`, by its mean over the ranks; small ones are exchanged
        together."""
        for bucket in _buckets(tensors) if self.world_size > 1 else ():
            flat = bucket[0]
            if len(bucket) > 1:
                flat = torch.cat([tensor.reshape(-1) for tensor in bucket])
            dist.all_reduce(flat, group=self.group)
            flat /= self.world_size
            if len(bucket) > 1:
                parts = torch.split(flat, [tensor.numel() for tensor in bucket])
                for tensor, part in zip(bucket, parts, strict=True):
                    tensor.copy_(part.view_as(tensor))

    def barrier(self) -> None:
        """Wait until all ranks have called this."""
        self.all_reduce_max([0.0])

    @contextmanager
    def leaving_on_failure(self, close: Callable[[], None] = lambda: None) -> Iterator[None]:
        """If the block fails on one of several ranks, call `close` and end this process with an
        error. What closes after the block may wait for a GPU that waits for other ranks."""
        try:
            yield
        except (SystemExit, GeneratorExit):
            raise
        except BaseException as error:
            if self.failures is None:
                raise
            with suppress(DataError):
                close()
            self.failures.leave(error)

    @contextmanager
    def fail_together(self) -> Iterator[None]:
        """If the block raises a ``ClickException`` on any rank, all ranks exit: rank 0 raises it,
        the others exit silently with its exit code."""
        failure: click.ClickException | None = None
        try:
            yield
        except click.ClickException as error:
            if self.world_size == 1:
                raise
            failure = error
        if self.world_size == 1:
            return
        failures: list[Any] = [None] * self.world_size
        own_failure = failure and (failure.message, failure.exit_code)
        dist.all_gather_object(failures, own_failure, group=self.group)
        for rank, entry in enumerate(failures):
            if entry is not None:
                if self.rank > 0:
                    exit_silently(entry[1])
                raise failure or DataError(f"Rank {rank}: {entry[0]}")
