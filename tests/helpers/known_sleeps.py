"""Steps of known cost: a model, a loader and an exchange of gradients that sleep."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook
from torch.nn.parallel import DistributedDataParallel

import trainer.run_model
import trainer.step_setup
from benchmarks.scaling import ranks as scaling_ranks
from benchmarks.scaling.plan import Size
from benchmarks.scaling.points import build_points
from benchmarks.scaling.ranks import RanksRequest
from benchmarks.scaling.record import Point
from pipeline.feed.fetch import EncodedFetcher
from trainer.config import Settings
from trainer.distributed.collectives import World
from trainer.model.build import Classifier
from trainer.model.sources.source import NetworkSpec

# A busy machine wakes a sleeper late: one of so many measurements must give the known share, which
# a wrong formula never does.
ATTEMPTS = 3


class Sleeping(nn.Module):
    """Returns its input after some seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        time.sleep(self.seconds)
        return images


def slow_model(patch: pytest.MonkeyPatch, seconds: float) -> None:
    """Replace the model by one whose step takes `seconds`, and hardly more."""

    def build(source: Any, spec: NetworkSpec, *, mean: Any, std: Any, **_: Any) -> Classifier:
        head = nn.Linear(3, spec.classes)
        layers = (Sleeping(seconds), nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)
        return Classifier(nn.Sequential(*layers), mean=mean, std=std)

    patch.setattr(trainer.run_model, "build_model", build)


def slow_loader(patch: pytest.MonkeyPatch, seconds: Callable[[Any], float]) -> None:
    """Let the thread that prepares batches sleep for ``seconds(samples)`` before each."""
    original = EncodedFetcher.fetch

    def fetch(self: EncodedFetcher, samples: Any, spare: Any = None) -> Any:
        time.sleep(seconds(samples))
        return original(self, samples, spare)

    patch.setattr(EncodedFetcher, "fetch", fetch)


def slow_exchange(patch: pytest.MonkeyPatch, seconds: float) -> None:
    """Delay the exchange of gradients, once a step."""
    original = trainer.step_setup.wrap_ddp

    def delayed(
        group: dist.ProcessGroup | None, bucket: dist.GradBucket
    ) -> torch.futures.Future[torch.Tensor]:
        if bucket.is_last():
            time.sleep(seconds)
        return allreduce_hook(group, bucket)

    def wrap_ddp(model: Classifier, world: World, config: Any) -> nn.Module:
        parallel = original(model, world, config)
        if isinstance(parallel, DistributedDataParallel):
            parallel.register_comm_hook(world.group, delayed)
        return parallel

    patch.setattr(trainer.step_setup, "wrap_ddp", wrap_ddp)


def are_right(point: Point, shares: Mapping[str, float]) -> bool:
    """Whether the shares of `point` are within 0.03 of `shares`."""
    return all(abs(getattr(point.shares, name) - share) <= 0.03 for name, share in shares.items())


def measured_point(
    shards: Path,
    folder: Path,
    world: World,
    *,
    rungs: Sequence[str],
    right: Callable[[Point], bool] = lambda point: True,
) -> Point:
    """The first point of ATTEMPTS for which `right` returns true on rank 0, or the last."""
    for attempt in range(ATTEMPTS):
        point = _measured(shards, folder / str(attempt), world, rungs)
        if world.broadcast(right(point)):
            break
    return point


def _measured(shards: Path, folder: Path, world: World, rungs: Sequence[str]) -> Point:
    """A point of two steps of 4 images on each of `rungs`."""
    settings = {"shards": str(shards), "device": "cpu", "prefetch": 1, "read_ahead": 1}
    request = RanksRequest(
        sizes=(Size(mode="weak", world_size=world.world_size, batch_size=4),),
        settings=settings,
        seconds=0.001,
        runs=1,
        warmup=0,
        cores_per_rank=None,
        folder=str(folder),
        result="",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scaling_ranks, "RUNGS", rungs)
        measurements = scaling_ranks.measure(request, Settings.from_options(**settings), world, [0])
    (point,) = build_points(measurements, cores=world.world_size, fits_in_page_cache=True)
    return point
