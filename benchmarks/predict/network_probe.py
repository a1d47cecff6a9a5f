"""What the ranks of this machine share: the links that they add up gradients over, and memory.

    torchrun --nproc_per_node 2 -m benchmarks.predict.network_probe --megabytes 102

bench-predict --measure-network starts it by itself.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from benchmarks.measuring.alternate import Measurement, alternate, ratio
from benchmarks.measuring.config import FROM_ENVIRONMENT, Measuring
from benchmarks.measuring.provenance import ROOT
from benchmarks.measuring.result_file import read_bundle
from benchmarks.measuring.table import report
from benchmarks.predict.baseline import OneRank
from benchmarks.predict.networks import GIGA, MICRO, Link, Network
from benchmarks.predict.step_model import BUCKET_BYTES
from pipeline.errors import DataError, MisuseError
from pipeline.options import COUNT, Bounds, options, pick_fields, setting

if TYPE_CHECKING:
    from benchmarks.predict.probe_steps import OwnSteps
    from trainer.distributed.collectives import World

# Of a message that is all latency.
LITTLE_BYTES = 4
LITTLE, BUCKET = "latency", "bucket"
ALONE, AT_ONCE = "step, one rank", "step, all ranks at once"


@dataclass(frozen=True, kw_only=True)
class Probe(Measuring):
    megabytes: float = setting(102.0, "Size of the gradients, in 10^6 bytes.", Bounds(low=1e-5))
    seconds: float = setting(1.0, "Least length of a run.", Bounds(low=0.001))
    device: Literal["auto", "cpu", "cuda"] = setting("auto", "As the trainer's.")
    model: str = setting("resnet18", "Model whose steps are made.")
    image_size: int = setting(224, "Side of the images in px.", COUNT)
    batch_size: int = setting(4, "Images of a rank's step.", COUNT)
    precision: str = setting("auto", "As the trainer's.")


@click.command(context_settings=FROM_ENVIRONMENT)
@options(Probe)
def main(**values: Any) -> None:
    """Measure what the ranks that torchrun started share: the all-reduce of a few bytes and of a
    bucket of gradients, and steps on one rank and on all at once."""
    probe = pick_fields(Probe, values)

    # torch takes seconds to import: --help doesn't wait for it.
    from benchmarks.predict.probe_steps import AllReduces
    from trainer.distributed.process_group import open_world

    with open_world(probe.device) as world:
        if world.world_size == 1:
            raise MisuseError("One rank has nobody to talk to: start it with torchrun.")
        sizes = {LITTLE: LITTLE_BYTES, BUCKET: min(BUCKET_BYTES, round(1e6 * probe.megabytes))}
        reduces = {
            name: AllReduces(size_bytes=size, seconds=probe.seconds, world=world)
            for name, size in sizes.items()
        }
        contenders: dict[str, Callable[[], float]] = {**reduces, **_own_steps(probe, world)}
        rows = alternate(contenders, runs=probe.runs, warmup=probe.warmup)
        if world.rank == 0:
            _report(probe, world, sizes, rows, reduces[BUCKET].core_share(probe.runs))


def _own_steps(probe: Probe, world: "World") -> dict[str, "OwnSteps"]:
    from benchmarks.compute.config import CHANNELS_LAST
    from benchmarks.compute.steps import Steps, prepare_model
    from benchmarks.predict.probe_steps import OwnSteps

    model = prepare_model(
        probe.model,
        mode=CHANNELS_LAST,
        image_size_px=probe.image_size,
        precision=probe.precision,
        world=replace(world, rank=0, world_size=1),
    )
    steps = Steps(model=model, batch_size=probe.batch_size, seconds=probe.seconds)
    steps.prepare()
    steps.steps = world.broadcast(steps.steps)
    return {
        ALONE: OwnSteps(steps=steps, world=world, at_once=False),
        AT_ONCE: OwnSteps(steps=steps, world=world, at_once=True),
    }


def _report(
    probe: Probe,
    world: "World",
    sizes: Mapping[str, int],
    rows: Sequence[Measurement],
    core_share: float,
) -> None:
    kind = "NCCL between GPUs" if world.device.type == "cuda" else "gloo between processes"
    measured = {row.name: row for row in rows}
    link = fit_link(
        {name: 1 / measured[name].median for name in sizes},
        sizes,
        ranks=world.world_size,
        core_share=core_share,
        name=f"{kind}, measured",
    )
    slowdown = max(1.0, ratio(measured[ALONE], measured[AT_ONCE]).median)
    report(
        f"what {world.world_size} ranks share: {kind}",
        "times/s",
        rows,
        kind="benchmarks.predict.network_probe",
        facts={
            "link": asdict(link),
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
        finding=f"{link}; a rank's cores work for {link.core_share:.0%} of that time. Steps take "
        f"{slowdown:.3f} times as long on all ranks at once.",
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
    them is bandwidth. Raises ``DataError`` if it takes nothing beyond them."""
    if seconds[BUCKET] <= seconds[LITTLE]:
        raise DataError(
            f"{sizes[BUCKET]:,} bytes take no longer than {sizes[LITTLE]}: too few to tell the "
            f"bandwidth by."
        )
    hops = 2 * (ranks - 1)
    moved = hops / ranks * sizes[BUCKET]
    return Link(
        name=name,
        bandwidth_gb_per_second=moved / (seconds[BUCKET] - seconds[LITTLE]) / GIGA,
        latency_us=seconds[LITTLE] / hops / MICRO,
        core_share=core_share,
        source=f"{ranks} ranks of this machine",
    )


def measured_network(network: Network, one: OneRank, *, seconds: float = Probe.seconds) -> Network:
    """`network` as the ranks of this machine find it in runs of `seconds`."""
    rank = one.runs[0]
    said = {
        "megabytes": rank.gradient_bytes / 1e6,
        "seconds": seconds,
        "model": one.model,
        "image-size": one.image_size_px,
        "batch-size": rank.batch_size,
        "precision": one.precision,
    }
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "probe.json")
        command = (
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc_per_node", str(max(2, network.ranks_per_node))),
            *("-m", "benchmarks.predict.network_probe", "--output", str(output)),
            *(f"--{name}={value}" for name, value in said.items()),
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
            raise DataError(f"The network can't be measured:\n{done.stdout}")
        found = read_bundle(output)
    return replace(network, within=Link(**found["link"]), slowdown=found["slowdown"])


if __name__ == "__main__":
    main()
