"""All-reduces and training steps without communication, measured on all ranks of a machine.

Each candidate is called on all ranks at once and returns its repetitions per second.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

import torch

from benchmarks.compute.steps import CHANNELS_LAST, Steps, build_trained
from benchmarks.measuring.alternate import Measurement, alternate, ratio
from benchmarks.measuring.laps import WorldLap, world_lap
from benchmarks.measuring.table import report
from benchmarks.predict.network_probe import BUCKET, LATENCY, Probe, fit_link
from benchmarks.predict.networks import to_record
from benchmarks.predict.step_model import BUCKET_BYTES
from pipeline.errors import MisuseError
from trainer.distributed.collectives import World
from trainer.distributed.process_group import open_world

LATENCY_BYTES = 4
ONE_RANK, ALL_RANKS = "step, one rank", "step, all ranks at once"


def measure_probe(probe: Probe) -> None:
    """Measure on all ranks; rank 0 reports. Raises ``MisuseError`` on one rank."""
    with open_world(probe.device) as world:
        if world.world_size == 1:
            raise MisuseError("At least two ranks are needed: start the command with torchrun.")
        bucket_bytes = min(BUCKET_BYTES, round(1e6 * probe.megabytes))
        sizes = {LATENCY: LATENCY_BYTES, BUCKET: bucket_bytes}
        reduces = {
            name: AllReduces(size_bytes=size, seconds=probe.seconds, world=world)
            for name, size in sizes.items()
        }
        rows = alternate(
            {**reduces, **_local_steps(probe, world)}, runs=probe.runs, warmup=probe.warmup
        )
        if world.rank == 0:
            _report(probe, world, sizes, rows, reduces[BUCKET].core_share(probe.runs))


@dataclass(kw_only=True)
class AllReduces:
    """All-reduces of `size_bytes`, repeated until they take `seconds`."""

    size_bytes: int
    seconds: float
    world: World
    laps: list[WorldLap] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._tensor = torch.zeros(self.size_bytes // 4, device=self.world.device)
        self._times = 1
        # All ranks measure the same duration.
        self._times = max(1, round(self.seconds / self._lap().seconds))

    def __call__(self) -> float:
        self.laps.append(self._lap())
        return self._times / self.laps[-1].seconds

    def core_share(self, runs: int) -> float:
        """Share of the time of the last `runs` in which the CPU cores of a rank worked; 0 for
        GPUs."""
        if self.world.device.type == "cuda":
            return 0.0
        laps = self.laps[-runs:]
        seconds = sum(lap.seconds for lap in laps) * self.world.world_size * self.world.threads
        return min(1.0, sum(lap.cpu_seconds for lap in laps) / seconds)

    def _lap(self) -> WorldLap:
        return world_lap(self._work, self.world, lambda: synchronize(self.world.device))

    def _work(self) -> int:
        for _ in range(self._times):
            self.world.all_reduce_mean_([self._tensor])
        return 0


def _local_steps(probe: Probe, world: World) -> dict[str, Callable[[], float]]:
    """Training steps without communication, on rank 0 while the others wait, and on all ranks."""
    trained = build_trained(
        probe.model,
        mode=CHANNELS_LAST,
        image_size_px=probe.image_size,
        precision=probe.precision,
        world=replace(world, rank=0, world_size=1),
    )
    steps = Steps(trained=trained, batch_size=probe.batch_size, seconds=probe.seconds)
    steps.prepare()
    steps.steps = world.broadcast(steps.steps)

    def rate(works: bool) -> float:
        lap = world_lap(steps.work if works else lambda: 0, world, steps.synchronize)
        return steps.steps / lap.seconds

    return {ONE_RANK: lambda: rate(world.rank == 0), ALL_RANKS: lambda: rate(True)}


def _report(
    probe: Probe,
    world: World,
    sizes: Mapping[str, int],
    rows: Sequence[Measurement],
    core_share: float,
) -> None:
    backend = "NCCL between GPUs" if world.device.type == "cuda" else "gloo between processes"
    measured = {row.name: row for row in rows}
    link = fit_link(
        {name: 1 / measured[name].median for name in sizes},
        sizes,
        ranks=world.world_size,
        core_share=core_share,
        name=f"{backend}, measured",
    )
    slowdown = max(1.0, ratio(measured[ONE_RANK], measured[ALL_RANKS]).median)
    report(
        f"network of {world.world_size} ranks: {backend}",
        "times/s",
        rows,
        kind="benchmarks.predict.network_probe",
        facts={
            "link": to_record(link),
            "slowdown": slowdown,
            "ranks": world.world_size,
            "sizes_bytes": sizes,
            "settings": asdict(probe),
        },
        columns={
            "bytes": {name: f"{size:,}" for name, size in sizes.items()},
            "ms": {row.name: f"{1e3 / row.median:,.3f}" for row in rows},
        },
        ratios=False,
        finding=f"{link}; CPU cores work for {link.core_share:.0%} of that time. Steps on all "
        f"ranks at once take {slowdown:.3f} times as long.",
        output=probe.output,
    )


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
