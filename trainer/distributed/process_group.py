"""The process group: joined at the start, left at the end, and what is said of a rank that died."""

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

from pipeline.errors import DataError, MisuseError
from trainer.distributed.collectives import World
from trainer.distributed.exit import exit_silently

# Keys of the store that all ranks share.
_FAILURES, _EXIT_CODE = "shardline/failures", "shardline/exit_code"
_ALIVE = "shardline/alive"

# That ranks wait for each other; longer than --stall-timeout, whose sentence says more.
RANK_TIMEOUT_SECONDS = 360.0
# In which all ranks that are alive notice that one is not.
ANSWER_SECONDS = 2.0


@contextmanager
def open_world(device: str, *, timeout_seconds: float = RANK_TIMEOUT_SECONDS) -> Iterator[World]:
    """Join the ranks that torchrun started, or be alone; torch gets this rank's share of cores.

    Args:
        device: "cpu", "cuda", or "auto" for CUDA where there is some.
        timeout_seconds: that a rank waits for the others before it gives up.
    """
    rank, world_size, local_rank, local_world_size = (
        int(os.environ.get(name, default))
        for name, default in (
            ("RANK", "0"),
            ("WORLD_SIZE", "1"),
            ("LOCAL_RANK", "0"),
            ("LOCAL_WORLD_SIZE", "1"),
        )
    )
    world = World(
        rank=rank,
        world_size=world_size,
        local_rank=local_rank,
        local_world_size=local_world_size,
        device=_device(device, local_rank, local_world_size),
    )
    torch.set_num_threads(world.threads)
    if world.device.type == "cuda":
        torch.cuda.set_device(world.device)
        torch.backends.cudnn.benchmark = True
    if world_size == 1:
        yield world
        return
    backend = "cpu:gloo,cuda:nccl" if world.device.type == "cuda" else "gloo"
    store = _own(next(iter(rendezvous("env://", rank, world_size)))[0])
    timeout = timedelta(seconds=timeout_seconds)
    dist.init_process_group(backend, store=store, rank=rank, world_size=world_size, timeout=timeout)
    lingers = False
    try:
        with _report_once(store, world, timeout_seconds):
            yield world
    except (click.ClickException, RuntimeError):
        lingers = rank == 0 and not _store_outlives_rank_0()
        raise
    finally:
        # The others notice, and ask the store.
        dist.destroy_process_group()
        if lingers:
            time.sleep(ANSWER_SECONDS)


def _own(store: Any) -> Any:
    """`store` without what earlier starts of these ranks have left in it: torchrun (seen in torch
    2.14.1) keeps the one of its first start, and gloo would wait for ranks that are dead. The
    torchruns of several nodes count their starts apart; docs/nodes.md has them make a new store."""
    if not _store_outlives_rank_0() or os.environ.get("GROUP_WORLD_SIZE", "1") != "1":
        return store
    count = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    return dist.PrefixStore(count, store)  # type: ignore[attr-defined]


def _store_outlives_rank_0() -> bool:
    """Does torchrun hold the store that all ranks share, or rank 0's process?"""
    return os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == str(True)


@contextmanager
def _report_once(store: Any, world: World, timeout_seconds: float) -> Iterator[None]:
    """Of ranks that fail in the middle of a run the first says why; the others, whom it leaves
    alone in a collective, exit silently with its code. A rank that can't say so is named."""
    try:
        yield
    except click.ClickException as error:
        with _store_lost(world, timeout_seconds):
            if store.add(_FAILURES, 1) > 1:
                exit_silently(error.exit_code)
            store.set(_EXIT_CODE, str(error.exit_code))
        raise
    except RuntimeError as error:
        with _store_lost(world, timeout_seconds):
            if store.check([_EXIT_CODE]):
                exit_silently(int(store.get(_EXIT_CODE)))
            if not _is_of_a_collective(error):
                raise
            store.set(f"{_ALIVE}/{world.rank}", "")
            if store.add(_FAILURES, 1) > 1:
                exit_silently(DataError.exit_code)
            time.sleep(ANSWER_SECONDS)
            lost = [r for r in range(world.world_size) if not store.check([f"{_ALIVE}/{r}"])]
        raise _died(", ".join(map(str, lost)) or "?", timeout_seconds) from error


@contextmanager
def _store_lost(world: World, timeout_seconds: float) -> Iterator[None]:
    """Where rank 0's node has died the store has gone with it: the first two ranks of each other
    node say so."""
    try:
        yield
    except dist.DistNetworkError as error:
        if world.local_rank > 1:
            exit_silently(DataError.exit_code)
        raise _died("0", timeout_seconds) from error


def _died(ranks: str, timeout_seconds: float) -> DataError:
    return DataError(
        f"Rank {ranks} has died, or has not answered for {timeout_seconds:g} s (--rank-timeout): "
        f"see what it or the machine said. The same command with --out of this run goes on from "
        f"its last checkpoint."
    )


def _is_of_a_collective(error: RuntimeError) -> bool:
    """gloo raises plain errors, which name its source files."""
    return isinstance(error, dist.DistError) or "gloo" in str(error)


def _device(kind: str, local_rank: int, local_world_size: int) -> torch.device:
    if kind == "cpu" or (kind == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    gpus = torch.cuda.device_count()
    if local_world_size > gpus:
        raise MisuseError(
            f"{local_world_size} ranks on a machine with {gpus} GPUs: start torchrun with "
            f"--nproc_per_node {gpus}, or give --device cpu."
            if gpus
            else "--device cuda: torch sees no GPU here."
        )
    return torch.device("cuda", local_rank)
