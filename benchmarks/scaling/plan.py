"""World sizes and batch sizes to measure, with defaults for what was not given."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from benchmarks.scaling.config import LadderConfig
from benchmarks.scaling.record import MODES, STRONG
from pipeline.limits.cores import available_cores
from pipeline.plan.ranks import per_rank_batch_size
from trainer.config import Settings
from trainer.data import TrainingData, task_of
from trainer.model.sources.find import find_model
from trainer.run_model import model_for, network_spec

# More ranks on a CPU, which share its memory bandwidth, need --ranks.
MAX_CPU_RANKS = 8
GPU_BATCH_SIZE = 128
# ResNet-50 at 224 px takes a core seconds for each image.
CPU_MODEL = "resnet18"
CPU_BATCH_SIZE, MAX_CPU_BATCH_SIZE = 2, 32


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
    """A measurement without open choices; each machine starts `ranks_per_node` ranks and has
    `gpus` GPUs."""

    ranks: tuple[int, ...]
    ranks_per_node: int
    modes: tuple[str, ...]
    batch_size: int
    global_batch_size: int
    settings: Settings
    gpus: int

    @property
    def sizes(self) -> tuple[Size, ...]:
        """Weak sizes first, small sizes first."""
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
    config: LadderConfig,
    settings: Settings,
    typed: Mapping[str, Any],
    *,
    image_size_px: int,
    modes: Sequence[str] = MODES,
) -> ScalingPlan:
    """Choose what `config` leaves open; `typed` are those of `settings` that are not defaults.

    Raises ``MisuseError`` for world sizes that do not divide the global batch size.
    """
    gpus = 0 if settings.machine.device == "cpu" else torch.cuda.device_count()
    ranks = config.ranks or default_ranks(gpus, available_cores(), config)
    batch_size = config.batch_size or default_batch_size(gpus, image_size_px)
    if not gpus and "model" not in typed:
        settings = replace(settings, recipe=replace(settings.recipe, model=CPU_MODEL))
    default = default_global_batch_size(ranks, batch_size)
    plan = ScalingPlan(
        ranks=ranks,
        ranks_per_node=ranks[-1] // config.nnodes,
        modes=tuple(mode for mode in MODES if mode in modes),
        batch_size=batch_size,
        global_batch_size=typed.get("global_batch_size", default),
        settings=settings,
        gpus=gpus,
    )
    _ = plan.sizes
    return plan


def check_model(settings: Settings, data: TrainingData) -> None:
    """Raise ``MisuseError`` for a model that does not fit `data`, before the ranks start."""
    spec = network_spec(settings, data, task_of(data, label_smoothing=0.0))
    model_for(settings, data, find_model(settings.recipe.model), spec)


def default_ranks(gpus: int, cores: int, config: LadderConfig) -> tuple[int, ...]:
    """Powers of two up to the number of GPUs, or of cores, of all machines."""
    cpu_ranks = min(MAX_CPU_RANKS, cores // (config.cores_per_rank or 1))
    largest = config.nnodes * max(1, gpus or cpu_ranks)
    return (*(2**power for power in range(largest.bit_length()) if 2**power < largest), largest)


def default_global_batch_size(ranks: tuple[int, ...], batch_size: int) -> int:
    """The smallest multiple of all world sizes that is at least the global batch size of the
    smallest one in weak scaling."""
    multiple = math.lcm(*ranks)
    return multiple * -(-ranks[0] * batch_size // multiple)


def default_batch_size(gpus: int, image_size_px: int) -> int:
    """On a CPU a step takes about as long at any image size."""
    if gpus:
        return GPU_BATCH_SIZE
    proportional = int(CPU_BATCH_SIZE * (224 / image_size_px) ** 2)
    power_of_two = 1 << max(0, proportional.bit_length() - 1)
    return max(CPU_BATCH_SIZE, min(MAX_CPU_BATCH_SIZE, power_of_two))
