"""Measure the link between the ranks of this machine, and how much they slow each other down.

    torchrun --nproc_per_node 2 -m benchmarks.predict.network_probe --megabytes 102

bench-predict --measure-network runs this command.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from benchmarks.measuring.config import FROM_ENVIRONMENT, Measuring
from benchmarks.measuring.provenance import ROOT
from benchmarks.measuring.result_file import read_bundle
from benchmarks.predict.baseline import Baseline
from benchmarks.predict.networks import GIGA, MICRO, Link, Network, read_link
from pipeline.errors import DataError
from pipeline.options import options, pick_fields, setting

# Messages of a few bytes, all latency, and of a bucket of gradients.
LATENCY, BUCKET = "latency", "bucket"


@dataclass(frozen=True, kw_only=True)
class Probe(Measuring):
    megabytes: float = setting(102.0, "Size of the gradients in 10^6 bytes.", low=1e-5)
    seconds: float = setting(1.0, "Minimum duration of a repetition.", low=0.001)
    device: str = setting(
        "auto", "Device, as the trainer's.", type=click.Choice(["auto", "cpu", "cuda"])
    )
    model: str = setting("resnet18", "Model of the training steps.")
    image_size: int = setting(224, "Side of the images in px.", low=1)
    batch_size: int = setting(4, "Batch size of each rank.", low=1)
    precision: str = setting("auto", "Precision, as the trainer's.")


@click.command(context_settings=FROM_ENVIRONMENT)
@options(Probe)
def main(**values: Any) -> None:
    """Measure what the ranks started by torchrun share: all-reduces of a few bytes and of a bucket
    of gradients, and training steps on one rank and on all ranks at once."""
    probe = pick_fields(Probe, values)

    # torch takes seconds to import: --help doesn't wait for it.
    from benchmarks.predict.probe_steps import measure_probe

    measure_probe(probe)


def fit_link(
    seconds: Mapping[str, float],
    sizes: Mapping[str, int],
    *,
    ranks: int,
    core_share: float,
    name: str,
) -> Link:
    """The link of a ring whose all-reduces of `sizes` bytes take `seconds`: the time of a few bytes
    is all latency, and the additional time of a bucket is all bandwidth.

    Raises ``DataError`` if the bucket takes no additional time.
    """
    if seconds[BUCKET] <= seconds[LATENCY]:
        raise DataError(
            f"{sizes[BUCKET]:,} bytes take no longer than {sizes[LATENCY]}: too few to measure the "
            f"bandwidth. Give a larger --megabytes."
        )
    hops = 2 * (ranks - 1)
    sent_bytes = hops / ranks * sizes[BUCKET]
    return Link(
        name=name,
        bandwidth_gb_per_second=sent_bytes / (seconds[BUCKET] - seconds[LATENCY]) / GIGA,
        latency_us=seconds[LATENCY] / hops / MICRO,
        core_share=core_share,
        citation=f"{ranks} ranks of this machine",
    )


def measure_network(
    network: Network, baseline: Baseline, *, seconds: float = Probe.seconds
) -> Network:
    """`network` with the link and the slowdown that the ranks of this machine measure, in
    repetitions of `seconds`. Raises ``DataError`` if they fail."""
    speed = baseline.runs[0]
    settings = {
        "megabytes": speed.gradient_bytes / 1e6,
        "seconds": seconds,
        "model": baseline.model,
        "image-size": baseline.image_size_px,
        "batch-size": speed.batch_size,
        "precision": baseline.precision,
    }
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "probe.json")
        done = subprocess.run(
            [
                *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
                *("--nproc_per_node", str(max(2, network.ranks_per_node))),
                *("-m", "benchmarks.predict.network_probe", "--output", str(output)),
                *(f"--{name}={value}" for name, value in settings.items()),
            ],
            cwd=ROOT,
            env={"OMP_NUM_THREADS": "1", **os.environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            raise DataError(f"The ranks failed to measure the network:\n{done.stdout}")
        result = read_bundle(output)
    return replace(network, within=read_link(result["link"]), slowdown=result["slowdown"])


if __name__ == "__main__":
    main()
