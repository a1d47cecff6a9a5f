"""The process group of a run: destroyed at its end, and left alone after a failure."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.rendezvous import rendezvous

from pipeline.errors import DataError
from trainer.distributed.collectives import World
from trainer.distributed.failures import Failures
from trainer.distributed.machine import choose_device, name_interface

# Longer than the default of --stall-timeout, whose error is more specific.
RANK_TIMEOUT_SECONDS = 360.0
_BACKENDS = {"cpu": "gloo", "cuda": "cpu:gloo,cuda:nccl"}


@contextmanager
def open_world(device: str, *, timeout_seconds: float = RANK_TIMEOUT_SECONDS) -> Iterator[World]:
    """Join the process group of torchrun, or open a world of one rank; limit torch to this rank's
    share of the cores. If the block fails on one of several ranks, this process ends
    (``Failures``).

    Args:
        device: "cpu", "cuda", or "auto" for CUDA if available.
        timeout_seconds: how long a rank waits for the others before it raises an error.
    """
    world = _read_world(device)
    with world.resources, _join(world, timeout_seconds) as joined:
        yield joined


@contextmanager
def _join(world: World, timeout_seconds: float) -> Iterator[World]:
    torch.set_num_threads(world.threads)
    if world.device.type == "cuda":
        torch.cuda.set_device(world.device)
        torch.backends.cudnn.benchmark = True
    if world.world_size == 1:
        yield world
        return
    name_interface(world.local_rank)
    store = _store_of_this_start(_meet(world))
    dist.init_process_group(
        _BACKENDS[world.device.type],
        store=store,
        rank=world.rank,
        world_size=world.world_size,
        timeout=timedelta(seconds=timeout_seconds),
    )
    failures = Failures(
        store,
        rank=world.rank,
        local_rank=world.local_rank,
        world_size=world.world_size,
        timeout_seconds=timeout_seconds,
        hosts_store=world.rank == 0 and not _store_outlives_rank_0(),
    )
    joined = replace(world, failures=failures)
    try:
        with joined.leaving_on_failure():
            yield joined
    finally:
        # Here all ranks have ended together, or by the signal that they agreed on.
        dist.destroy_process_group()


def _meet(world: World) -> Any:
    """The store of all ranks. Raises ``DataError`` if rank 0 can't host it, or can't be reached."""
    try:
        return next(iter(rendezvous("env://", world.rank, world.world_size)))[0]
    except dist.DistNetworkError as error:
        address, port = os.environ.get("MASTER_ADDR"), os.environ.get("MASTER_PORT")
        if world.rank > 0 or _store_outlives_rank_0():
            raise DataError(
                f"Rank {world.rank} can't reach rank 0 at {address}, port {port} (MASTER_ADDR, "
                f"MASTER_PORT): see the output of rank 0, and whether a firewall is between them."
            ) from error
        raise DataError(
            f"Rank 0 can't listen on port {port} (MASTER_PORT), which another program or an "
            f"earlier training has: set MASTER_PORT to another port, or start the ranks with "
            f"torchrun --standalone, which finds a free one."
        ) from error


def _read_world(device: str) -> World:
    """The world by the environment variables of torchrun."""
    defaults = {"RANK": 0, "WORLD_SIZE": 1, "LOCAL_RANK": 0, "LOCAL_WORLD_SIZE": 1}
    numbers: dict[str, Any] = {
        name.lower(): int(os.environ.get(name, default)) for name, default in defaults.items()
    }
    device_of_rank = choose_device(device, numbers["local_rank"], numbers["local_world_size"])
    return World(**numbers, device=device_of_rank)


def _store_of_this_start(store: Any) -> Any:
    """`store` without the keys of earlier starts of these ranks.

    torchrun (torch 2.14.1) keeps the store of its first start, and gloo would wait for dead ranks.
    On several nodes restart counts differ between nodes, so docs/nodes.md makes torchrun create a
    new store instead.
    """
    if not _store_outlives_rank_0() or os.environ.get("GROUP_WORLD_SIZE", "1") != "1":
        return store
    count = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    return dist.PrefixStore(count, store)  # type: ignore[attr-defined]


def _store_outlives_rank_0() -> bool:
    """Whether torchrun, rather than the process of rank 0, hosts the store."""
    return os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == str(True)
