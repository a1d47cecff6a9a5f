"""Two ranks, first with a delayed exchange of gradients, then with one rank slower than the other:
prints the shares of their steps. Arguments: shards, folder."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
from known_sleeps import measured_point, slow_exchange, slow_model

from trainer.distributed import open_world

if __name__ == "__main__":
    shards, folder = map(Path, sys.argv[1:])
    found = {}
    with open_world("cpu") as world:
        with pytest.MonkeyPatch.context() as patch:
            slow_model(patch, 0.1)
            slow_exchange(patch, 0.4)
            found["exchange"] = measured_point(shards, folder / "exchange", world, ranks=2)
        with pytest.MonkeyPatch.context() as patch:
            slow_model(patch, 0.25 if world.rank else 0.05)
            found["rank"] = measured_point(shards, folder / "rank", world, ranks=2)
        if world.rank == 0:
            print(json.dumps({name: asdict(point) for name, point in found.items()}))
