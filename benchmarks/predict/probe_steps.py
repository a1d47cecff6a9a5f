"""What a probe of a machine's ranks repeats: all-reduces, and steps that nobody else takes part in.

Each contender is called on all ranks at once and returns how often in a second it was done.
"""

from dataclasses import dataclass, field

import torch

from benchmarks.compute.steps import Steps
from benchmarks.measuring.laps import WorldLap, measure_world_lap
from trainer.distributed.collectives import World


@dataclass(kw_only=True)
class AllReduces:
    """`size_bytes` of each rank are added up so often that it takes `seconds`."""

    size_bytes: int
    seconds: float
    world: World
    laps: list[WorldLap] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._tensor = torch.zeros(self.size_bytes // 4, device=self.world.device)
        self._times = 1
        first = self._lap()
        # All ranks know the same seconds.
        self._times = max(1, round(self.seconds / first.seconds))

    def __call__(self) -> float:
        self.laps.append(self._lap())
        return self._times / self.laps[-1].seconds

    def core_share(self, runs: int) -> float:
        """Of the time of the last `runs`, what a rank's cores worked; 0 where ranks are GPUs."""
        if self.world.device.type == "cuda":
            return 0.0
        laps = self.laps[-runs:]
        seconds = sum(lap.seconds for lap in laps) * self.world.world_size * self.world.threads
        return min(1.0, sum(lap.cpu_seconds for lap in laps) / seconds)

    def _lap(self) -> WorldLap:
        return measure_world_lap(self._work, self.world)

    def _work(self) -> int:
        for _ in range(self._times):
            self.world.all_reduce_mean_([self._tensor])
        return 0


@dataclass(kw_only=True)
class OwnSteps:
    """Steps of the trainer without an exchange of gradients, on the first rank while the others
    wait, or on all ranks `at_once`. `steps` are of a world of this rank alone."""

    steps: Steps
    world: World
    at_once: bool

    def __call__(self) -> float:
        works = self.at_once or self.world.rank == 0
        lap = measure_world_lap(self.steps.work if works else lambda: 0, self.world)
        return self.steps.steps / lap.seconds
