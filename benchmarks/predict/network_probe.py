"""Measure the link between the ranks of this machine, and how much they slow each other down.

    torchrun --nproc_per_node 2 -m benchmarks.predict.network_probe --megabytes 102

bench-predict --measure-network runs this command.
"""

import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from benchmarks.measuring.config import FROM_ENVIRONMENT
from benchmarks.measuring.result_file import read_bundle
from benchmarks.predict.baseline import Baseline
from benchmarks.predict.config import Probe
from benchmarks.predict.networks import Link, Network
from pipeline.child_process import module_command, module_variables
from pipeline.errors import DataError
from pipeline.options import Command, options, pick_fields


@click.command(cls=Command, context_settings=FROM_ENVIRONMENT)
@options(Probe)
def main(**values: Any) -> None:
    """Measure what the ranks started by torchrun share: all-reduces of a few bytes and of a bucket
    of gradients, and training steps on one rank and on all ranks at once."""
    probe = pick_fields(Probe, values)

    # torch takes seconds to import: --help doesn't wait for it.
    from benchmarks.predict.probe_steps import measure_probe

    measure_probe(probe)


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
                *module_command("torch.distributed.run", "--standalone"),
                *("--nproc_per_node", str(max(2, network.ranks_per_node))),
                *("-m", "benchmarks.predict.network_probe", "--output", str(output)),
                *(f"--{name}={value}" for name, value in settings.items()),
            ],
            env={"OMP_NUM_THREADS": "1", **module_variables()},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            raise DataError(f"The ranks failed to measure the network:\n{done.stdout}")
        result = read_bundle(output)
    return replace(network, within=Link(**result["link"]), slowdown=result["slowdown"])


if __name__ == "__main__":
    main()
