"""Which sizes are measured, and with which batches, where not all of it was said."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from benchmarks.scaling.config import ScalingBenchmark
from benchmarks.scaling.record import MODES, STRONG
from pipeline.errors import MisuseError
from pipeline.machine import available_cores
from pipeline.plan.ranks import per_rank_batch_size
from trainer.config import Settings
from trainer.data import TrainingData, task_of
from trainer.setup import model_for

# More ranks than that are measured only where they are asked for: a CPU's share memory.
MOST_CPU_RANKS = 8
GPU_BATCH_SIZE = 128
# ResNet-50 at 224 px takes a core seconds for each of these images.
CPU_MODEL = "resnet18"
CPU_BATCH_SIZE, MOST_CPU_BATCH_SIZE = 2, 32


@dataclass(frozen=True, kw_only=True)
class Size:
    """One world size in one mode; `batch_size` is that of a rank."""

    mode: str
    world_size: int
    batch_size: int

    @property
    def shape(self) -> tuple[int, int]:
        """Sizes of the same shape are measured once."""
        return self.world_size, self.batch_size


@dataclass(frozen=True, kw_only=True)
class ScalingPlan:
    """What is measured, all said; `ranks_per_node` are started on each machine, which has
    so many `gpus`."""

    ranks: tuple[int, ...]
    ranks_per_node: int
    modes: tuple[str, ...]
    batch_size: int
    global_batch_size: int
    settings: Settings
    gpus: int

    @property
    def sizes(self) -> tuple[Size, ...]:
        """Weak ones first, smaller ones first."""
        return tuple(
            Size(mode=mode, world_size=ranks, batch_size=self._batch_size(mode, ranks))
            for mode in self.modes
            for ranks in self.ranks
        )

    def _batch_size(self, mode: str, ranks: int) -> int:
        if mode == STRONG:
            return per_rank_batch_size(self.global_batch_size, ranks)
        return self.batch_size


def plan_scaling(
    benchmark: ScalingBenchmark,
    settings: Settings,
    typed: Mapping[str, Any],
    *,
    image_size_px: int,
) -> ScalingPlan:
    """Fill in what wasn't said; `typed` are the settings that were.

    Raises ``MisuseError`` for sizes that the machines or the global batch can't be divided by.
    """
    gpus = 0 if settings.machine.device == "cpu" else torch.cuda.device_count()
    ranks = benchmark.ranks or default_ranks(gpus, available_cores(), benchmark)
    if ranks[-1] % benchmark.nnodes:
        raise MisuseError(
            f"--ranks {ranks[-1]} can't be divided by --nnodes {benchmark.nnodes}: the largest "
            f"size takes all machines."
        )
    batch_size = benchmark.batch_size or default_batch_size(gpus, image_size_px)
    if not gpus and "model" not in typed:
        settings = replace(settings, recipe=replace(settings.recipe, model=CPU_MODEL))
    plan = ScalingPlan(
        ranks=ranks,
        ranks_per_node=ranks[-1] // benchmark.nnodes,
        modes=tuple(mode for mode in MODES if mode in (benchmark.mode or MODES)),
        batch_size=batch_size,
        global_batch_size=typed.get(
            "global_batch_size", default_global_batch_size(ranks, batch_size)
        ),
        settings=settings,
        gpus=gpus,
    )
    _ = plan.sizes
    return plan


def check_model(settings: Settings, data: TrainingData) -> None:
    """Raises ``MisuseError``, before ranks are started, for a model that can't learn `data`."""
    model_for(settings, data, task_of(data, label_smoothing=0.0))


def default_ranks(gpus: int, cores: int, benchmark: ScalingBenchmark) -> tuple[int, ...]:
    """Powers of two up to what there is on all machines."""
    cpu_ranks = min(MOST_CPU_RANKS, cores // (benchmark.cores_per_rank or 1))
    most = benchmark.nnodes * max(1, gpus or cpu_ranks)
    return (*(2**power for power in range(most.bit_length()) if 2**power < most), most)


def default_global_batch_size(ranks: tuple[int, ...], batch_size: int) -> int:
    """What the smallest size takes in weak scaling, or so much more that all sizes divide it."""
    every = math.lcm(*ranks)
    return every * -(-ranks[0] * batch_size // every)


def default_batch_size(gpus: int, image_size_px: int) -> int:
    """A step on a CPU takes as long at any size of the images."""
    if gpus:
        return GPU_BATCH_SIZE
    fitting = int(CPU_BATCH_SIZE * (224 / image_size_px) ** 2)
    power_of_two = 1 << max(0, fitting.bit_length() - 1)
    return max(CPU_BATCH_SIZE, min(MOST_CPU_BATCH_SIZE, power_of_two))
