"""Who this process is among the ranks: the one module that knows of process groups.

What the ranks tell each other through ``World`` lies in host memory and goes over gloo, so that
asking never waits for a GPU. Gradients are DDP's business: gloo on the CPU, nccl on GPUs.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import click
import torch
import torch.distributed as dist

from pipeline.errors import DataError
from pipeline.machine import available_cores
from trainer.distributed.exit import exit_silently

Value = TypeVar("Value")
Row = TypeVar("Row")


@dataclass(frozen=True, kw_only=True)
class World:
    """This process among `world_size`, as torchrun says; one alone has no process group.

    `group` holds the ranks where they are not all that torchrun started.
    """

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    local_world_size: int = 1
    device: torch.device
    group: dist.ProcessGroup | None = None

    @property
    def threads(self) -> int:
        """This rank's share of the cores that the process may use."""
        return max(1, available_cores() // self.local_world_size)

    def subgroup(self, ranks: int) -> "World | None":
        """The first `ranks` ranks as a world of their own, None on the others; all ranks must
        ask."""
        group: Any = None
        if 1 < ranks < self.world_size:
            group = dist.new_group(list(range(ranks)))
        return replace(self, world_size=ranks, group=group) if self.rank < ranks else None

    def all_gather(self, values: Sequence[float]) -> list[list[float]]:
        """The values of every rank, in float64; each rank gives as many."""
        own = torch.tensor(values, dtype=torch.float64)
        if self.world_size == 1:
            return [own.tolist()]
        rows = [torch.empty_like(own) for _ in range(self.world_size)]
        dist.all_gather(rows, own, group=self.group)
        return [row.tolist() for row in rows]

    def all_gather_objects(self, rows: Sequence[Row]) -> list[Row]:
        """The rows of all ranks, in their order; ranks may give different numbers of them."""
        if self.world_size == 1:
            return list(rows)
        gathered: list[Any] = [None] * self.world_size
        dist.all_gather_object(gathered, list(rows), group=self.group)
        return [row for own in gathered for row in own]

    def sum(self, values: Sequence[float]) -> list[float]:
        """The sums over ranks, added in the order of the ranks."""
        return [sum(column) for column in zip(*self.all_gather(values), strict=True)]

    def all_reduce_max(self, values: Sequence[float]) -> list[float]:
        """The largest of the ranks' values, each by its place."""
        return [max(column) for column in zip(*self.all_gather(values), strict=True)]

    def broadcast(self, value: Value) -> Value:
        """Rank 0's `value`."""
        if self.world_size == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values, src=0, group=self.group)
        return values[0]

    def all_reduce_mean_(self, tensors: Iterable[torch.Tensor]) -> None:
        """Set each tensor, on `device`, to its mean over the ranks."""
        if self.world_size > 1:
            for tensor in tensors:
                dist.all_reduce(tensor, group=self.group)
                tensor /= self.world_size

    def barrier(self) -> None:
        self.all_gather([0.0])

    @contextmanager
    def fail_together(self) -> Iterator[None]:
        """If the block fails with a ``ClickException`` on any rank, all ranks leave: rank 0 raises
        it, the others exit silently with its code."""
        failure: click.ClickException | None = None
        try:
            yield
        except click.ClickException as error:
            failure = error
        if self.world_size == 1:
            if failure:
                raise failure
            return
        fates: list[Any] = [None] * self.world_size
        own = failure and (failure.message, failure.exit_code)
        dist.all_gather_object(fates, own, group=self.group)
        for rank, fate in enumerate(fates):
            if fate is not None:
                if self.rank > 0:
                    exit_silently(fate[1])
                raise failure or DataError(f"Rank {rank}: {fate[0]}")
