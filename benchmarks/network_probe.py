"""How fast the ranks of this machine add up gradients, alone on the machine:

torchrun --nproc_per_node 2 -m benchmarks.network_probe --megabytes 102
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchmarks.bundle import read_bundle
from benchmarks.measure import Measurement, Measuring, WorldLap, alternate, report, world_lap
from benchmarks.networks import GIGA, MICRO, Link
from benchmarks.prediction import BUCKET_BYTES
from benchmarks.provenance import ROOT
from pipeline.errors import DataError, MisuseError
from pipeline.options import options, setting, take, within

if TYPE_CHECKING:
    from trainer.distributed import World

# Of a message that is all latency.
LITTLE_BYTES = 4
LITTLE, BUCKET = "latency", "bucket"


@dataclass(frozen=True, kw_only=True)
class Probe(Measuring):
    megabytes: float = setting(102.0, "Size of the gradients, in 10^6 bytes.")
    seconds: float = setting(0.5, "Least length of a run.")
    device: str = setting("auto", "As the trainer's.", type=click.Choice(["auto", "cpu", "cuda"]))

    def __post_init__(self) -> None:
        super().__post_init__()
        within("--megabytes", self.megabytes, 1e-5)
        within("--seconds", self.seconds, 0.001)


@dataclass(kw_only=True)
class AllReduces:
    """A contender: each call adds up `size_bytes` so often that it takes `seconds`, and returns
    how often in a second."""

    size_bytes: int
    seconds: float
    world: "World"

    def __post_init__(self) -> None:
        import torch

        self._tensor = torch.zeros(self.size_bytes // 4, device=self.world.device)
        self.laps: list[WorldLap] = []
        self._times = 1
        first = self._lap()
        self._times = max(1, round(self.seconds / first.seconds))

    def __call__(self) -> float:
        self.laps.append(self._lap())
        return self._times / self.laps[-1].seconds

    def _lap(self) -> WorldLap:
        return world_lap(self._work, self.world, self._synchronize)

    def _work(self) -> int:
        for _ in range(self._times):
            self.world.average_([self._tensor])
        return 0

    def _synchronize(self) -> None:
        if self.world.device.type == "cuda":
            import torch

            torch.cuda.synchronize(self.world.device)

    def core_share(self, runs: int) -> float:
        """Of the time that a rank's cores had in the last `runs`; 0 where the ranks are GPUs."""
        if self.world.device.type == "cuda":
            return 0.0
        laps = self.laps[-runs:]
        seconds = sum(lap.seconds for lap in laps) * self.world.world_size * self.world.threads
        return min(1.0, sum(lap.cpu_seconds for lap in laps) / seconds)


@click.command()
@options(Probe)
def main(**values: Any) -> None:
    """Measure the all-reduce of the ranks that torchrun started: a few bytes, and a bucket of
    gradients."""
    probe = take(Probe, values)

    from trainer.distributed import open_world

    with open_world(probe.device) as world:
        if world.world_size == 1:
            raise MisuseError("One rank has nobody to talk to: start it with torchrun.")
        contenders = {
            LITTLE: AllReduces(size_bytes=LITTLE_BYTES, seconds=probe.seconds, world=world),
            BUCKET: AllReduces(
                size_bytes=min(BUCKET_BYTES, round(1e6 * probe.megabytes)),
                seconds=probe.seconds,
                world=world,
            ),
        }
        rows = alternate(contenders, runs=probe.runs, warmup=probe.warmup)
        if world.rank == 0:
            _report(probe, world, contenders, rows)


def _report(
    probe: Probe, world: "World", contenders: Mapping[str, AllReduces], rows: Sequence[Measurement]
) -> None:
    sizes = {name: each.size_bytes for name, each in contenders.items()}
    kind = "NCCL between GPUs" if world.device.type == "cuda" else "gloo between processes"
    link = fit_link(
        {row.name: 1 / row.median for row in rows},
        sizes,
        ranks=world.world_size,
        core_share=contenders[BUCKET].core_share(probe.runs),
        name=f"{kind}, measured",
    )
    report(
        f"all-reduce: {world.world_size} ranks, {kind}",
        "all-reduces/s",
        rows,
        facts={"link": asdict(link), "ranks": world.world_size, "sizes_bytes": sizes},
        columns={
            "bytes": {name: f"{size:,}" for name, size in sizes.items()},
            "ms": {row.name: f"{1e3 / row.median:,.3f}" for row in rows},
        },
        ratios=False,
        finding=f"{link}; for {link.core_share:.0%} of that time a rank's cores work for it.",
        output=probe.output,
    )


def fit_link(
    seconds: Mapping[str, float],
    sizes: Mapping[str, int],
    *,
    ranks: int,
    core_share: float,
    name: str,
) -> Link:
    """The link of a ring that takes so long: a few bytes are all hops, what a bucket takes beyond
    them is bandwidth."""
    hops = 2 * (ranks - 1)
    moved = hops / ranks * sizes[BUCKET]
    return Link(
        name=name,
        bandwidth_gb_per_second=moved / (seconds[BUCKET] - seconds[LITTLE]) / GIGA,
        latency_us=seconds[LITTLE] / hops / MICRO,
        core_share=core_share,
        source=f"{ranks} ranks of this machine",
    )


def measure_link(ranks: int, gradient_bytes: float, *, seconds: float = Probe.seconds) -> Link:
    """Start `ranks` ranks on this machine and let them measure in runs of `seconds`."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "probe.json")
        command = (
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc_per_node", str(ranks), "-m", "benchmarks.network_probe"),
            *("--megabytes", str(gradient_bytes / 1e6), "--seconds", str(seconds)),
            *("--output", str(output)),
        )
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=os.environ | {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            raise DataError(f"The network can't be measured with {ranks} ranks:\n{done.stdout}")
        return Link(**read_bundle(output)["link"])


if __name__ == "__main__":
    main()
