"""Two ranks: first with a delayed exchange of gradients, then with a slow rank."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from benchmarks.scaling.record import LOADER, LOCKSTEP, NO_ALL_REDUCE, SYNTHETIC, WARM, Point
from tests.helpers.known_sleeps import are_right, measured_point, slow_exchange, slow_model
from tests.helpers.processes import become
from trainer.distributed.collectives import World
from trainer.distributed.process_group import open_world

# Computing takes 100 of 500 ms; the mean rank computes 150 of 250 ms and waits for the rest.
EXCHANGE = {"compute": 0.2, "communication": 0.8}
RANK = {"compute": 0.6, "waiting": 0.4}


def measure(rank: int, port: int, shards: Path, result: Path) -> None:
    """Run one of the two ranks; rank 0 writes the points to `result`."""
    become(rank, 2, port)
    with open_world("cpu") as world:
        points = {
            "exchange": _slow_exchange(shards, result.parent, world),
            "rank": _slow_rank(shards, result.parent, world),
        }
    if rank == 0:
        result.write_text(json.dumps({name: asdict(point) for name, point in points.items()}))


def _slow_exchange(shards: Path, folder: Path, world: World) -> Point:
    with pytest.MonkeyPatch.context() as patch:
        slow_model(patch, 0.1)
        slow_exchange(patch, 0.4)
        return _measured(shards, folder / "exchange", world, EXCHANGE)


def _slow_rank(shards: Path, folder: Path, world: World) -> Point:
    with pytest.MonkeyPatch.context() as patch:
        slow_model(patch, 0.25 if world.rank else 0.05)
        return _measured(shards, folder / "rank", world, RANK)


def _measured(shards: Path, folder: Path, world: World, shares: dict[str, float]) -> Point:
    rungs = (NO_ALL_REDUCE, LOCKSTEP, SYNTHETIC, WARM, LOADER)
    return measured_point(
        shards, folder, world, rungs=rungs, right=lambda point: are_right(point, shares)
    )
