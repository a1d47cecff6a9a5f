"""The process group of a run, and the error report when a rank dies."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import click
import torch
import torch.distributed as dist
from torch.distributed.rendezvous import rendezvous

from pipeline.errors import DataError
from trainer.distributed.collectives import World
from trainer.distributed.exit import exit_silently
from trainer.distributed.machine import choose_device, name_interface

# Keys of the store that all ranks share.
_FAILURES, _EXIT_CODE = "shardline/failures", "shardline/exit_code"
_ALIVE = "shardline/alive"

# Longer than the default of --stall-timeout, whose error is more specific.
RANK_TIMEOUT_SECONDS = 360.0
# Within this time all live ranks notice that one has died.
DETECTION_SECONDS = 2.0


@contextmanager
def open_world(device: str, *, timeout_seconds: float = RANK_TIMEOUT_SECONDS) -> Iterator[World]:
    """Join the process group of torchrun, or open a world of one rank; limit torch to this rank's
    share of the cores.

    Args:
        device: "cpu", "cuda", or "auto" for CUDA if available.
        timeout_seconds: how long a rank waits for the others before it raises an error.
    """
    world = _read_world(device)
    with world.resources, _join(world, timeout_seconds):
        yield world


@contextmanager
def _join(world: World, timeout_seconds: float) -> Iterator[None]:
    torch.set_num_threads(world.threads)
    if world.device.type == "cuda":
        torch.cuda.set_device(world.device)
        torch.backends.cudnn.benchmark = True
    if world.world_size == 1:
        yield
        return
    name_interface(world.local_rank)
    store = _store_of_this_start(next(iter(rendezvous("env://", world.rank, world.world_size)))[0])
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if world.device.type == "cuda" else "gloo",
        store=store,
        rank=world.rank,
        world_size=world.world_size,
        timeout=timedelta(seconds=timeout_seconds),
    )
    keeps_store = False
    try:
        with _report_once(store, world, timeout_seconds):
            yield
    except (click.ClickException, RuntimeError):
        keeps_store = world.rank == 0 and not _store_outlives_rank_0()
        raise
    finally:
        # The other ranks notice this and query the store.
        dist.destroy_process_group()
        if keeps_store:
            time.sleep(DETECTION_SECONDS)


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


@contextmanager
def _report_once(store: Any, world: World, timeout_seconds: float) -> Iterator[None]:
    """Report a failure during a run once: the first failed rank raises its error; the others, which
    fail in a collective operation without it, exit silently with its exit code. The error names a
    rank that died without one."""
    try:
        yield
    except click.ClickException as error:
        with _report_lost_store(world, timeout_seconds):
            if store.add(_FAILURES, 1) > 1:
                exit_silently(error.exit_code)
            store.set(_EXIT_CODE, str(error.exit_code))
        raise
    except RuntimeError as error:
        with _report_lost_store(world, timeout_seconds):
            if store.check([_EXIT_CODE]):
                exit_silently(int(store.get(_EXIT_CODE)))
            if not _is_collective_error(error):
                raise
            store.set(f"{_ALIVE}/{world.rank}", "")
            if store.add(_FAILURES, 1) > 1:
                exit_silently(DataError.exit_code)
            time.sleep(DETECTION_SECONDS)
            dead = [r for r in range(world.world_size) if not store.check([f"{_ALIVE}/{r}"])]
        raise _dead_rank_error(", ".join(map(str, dead)) or "?", timeout_seconds) from error


@contextmanager
def _report_lost_store(world: World, timeout_seconds: float) -> Iterator[None]:
    """If the store is lost with the node of rank 0, the first two ranks of each other node report
    it."""
    try:
        yield
    except dist.DistNetworkError as error:
        if world.local_rank > 1:
            exit_silently(DataError.exit_code)
        raise _dead_rank_error("0", timeout_seconds) from error


def _dead_rank_error(ranks: str, timeout_seconds: float) -> DataError:
    return DataError(
        f"Rank {ranks} died or did not respond for {timeout_seconds:g} s (--rank-timeout): see its "
        f"output and the machine's log. Repeat the command; with --out of its run a training "
        f"resumes from its last checkpoint."
    )


def _is_collective_error(error: RuntimeError) -> bool:
    """Whether a collective operation raised `error`; gloo's are plain and name its source files."""
    return isinstance(error, dist.DistError) or "gloo" in str(error)
