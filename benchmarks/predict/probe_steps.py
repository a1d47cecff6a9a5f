"""All-reduces and training steps without communication, measured on all ranks of a machine.

Each candidate is called on all ranks at once and returns its repetitions per second.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace

import torch

from benchmarks.compute.config import CHANNELS_LAST
from benchmarks.compute.steps import Steps, prepare_model
from benchmarks.measuring.alternate import Measurement, alternate, ratio
from benchmarks.measuring.laps import WorldLap, measure_world_lap
from benchmarks.measuring.table import report
from benchmarks.predict.config import Probe
from benchmarks.predict.networks import GIGA, MICRO, Link
from benchmarks.predict.step_model import BUCKET_BYTES
from pipeline.errors import DataError, MisuseError
from trainer.distributed.collectives import World
from trainer.distributed.process_group import open_world

# Messages of a few bytes, all latency, and of a bucket of gradients.
LATENCY, BUCKET = "latency", "bucket"
LATENCY_BYTES = 4
ONE_RANK, ALL_RANKS = "step, one rank", "step, all ranks at once"


def measure_probe(probe: Probe) -> None:
    """Measure on all ranks; rank 0 reports. Raises ``MisuseError`` on one rank."""
    with open_world(probe.device) as world:
        if world.world_size == 1:
            raise MisuseError("At least two ranks are needed: start the command with torchrun.")
        sizes = _message_bytes(probe)
        laps: dict[str, list[WorldLap]] = {name: [] for name in sizes}
        candidates = _local_steps(probe, world) | {
            name: _all_reduces(size, probe.seconds, world, laps[name])
            for name, size in sizes.items()
        }
        rows = alternate(candidates, runs=probe.runs, warmup=probe.warmup)
        if world.rank == 0:
            core_share = _core_share(laps[BUCKET][-probe.runs :], world)
            _report(probe, world, rows, core_share)


def _all_reduces(
    size_bytes: int, seconds: float, world: World, laps: list[WorldLap]
) -> Callable[[], float]:
    """All-reduces of `size_bytes`, repeated until they take `seconds`; appends to `laps`."""
    tensor = torch.zeros(size_bytes // 4, device=world.device)

    def measure(times: int) -> float:
        def work() -> int:
            for _ in range(times):
                world.all_reduce_mean_([tensor])
            return 0

        laps.append(measure_world_lap(work, world))
        return laps[-1].seconds

    # All ranks measure the same duration.
    times = max(1, round(seconds / measure(1)))
    return lambda: times / measure(times)


def _core_share(laps: Sequence[WorldLap], world: World) -> float:
    """Share of the time of `laps` in which the CPU cores of a rank worked; 0 for GPUs."""
    if world.device.type == "cuda":
        return 0.0
    seconds = sum(lap.seconds for lap in laps) * world.world_size * world.threads
    return min(1.0, sum(lap.cpu_seconds for lap in laps) / seconds)


def _local_steps(probe: Probe, world: World) -> dict[str, Callable[[], float]]:
    """Training steps without communication, on rank 0 while the others wait, and on all ranks."""
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

    def rate(works: bool) -> float:
        lap = measure_world_lap(steps.work if works else lambda: 0, world)
        return steps.steps / lap.seconds

    return {ONE_RANK: lambda: rate(world.rank == 0), ALL_RANKS: lambda: rate(True)}


def _message_bytes(probe: Probe) -> dict[str, int]:
    return {LATENCY: LATENCY_BYTES, BUCKET: min(BUCKET_BYTES, round(1e6 * probe.megabytes))}


def _report(probe: Probe, world: World, rows: Sequence[Measurement], core_share: float) -> None:
    sizes = _message_bytes(probe)
    backend = "NCCL between GPUs" if world.device.type == "cuda" else "gloo between processes"
    ranks, measured = world.world_size, {row.name: row for row in rows}
    seconds = [1 / measured[name].median for name in sizes]
    bandwidth, latency = fit_ring(*seconds, bucket_bytes=sizes[BUCKET], ranks=ranks)
    link = Link(
        name=f"{backend}, measured",
        bandwidth_gb_per_second=bandwidth / GIGA,
        latency_us=latency / MICRO,
        core_share=core_share,
        source=f"{ranks} ranks of this machine",
    )
    slowdown = max(1.0, ratio(measured[ONE_RANK], measured[ALL_RANKS]).median)
    report(
        f"network of {ranks} ranks: {backend}",
        "times/s",
        rows,
        kind="benchmarks.predict.network_probe",
        facts={
            "link": asdict(link),
            "slowdown": slowdown,
            "ranks": ranks,
            "sizes_bytes": sizes,
            "settings": asdict(probe),
        },
        columns={
            "bytes": {name: f"{size:,}" for name, size in sizes.items()},
            "ms": {row.name: f"{1e3 / row.median:,.3f}" for row in rows},
        },
        ratios=False,
        finding=f"{link}; CPU cores work for {core_share:.0%} of that time. Steps on all "
        f"ranks at once take {slowdown:.3f} times as long.",
        output=probe.output,
    )


def fit_ring(
    latency_seconds: float, bucket_seconds: float, *, bucket_bytes: int, ranks: int
) -> tuple[float, float]:
    """Bytes per second and seconds per hop of a ring, from the durations of two all-reduces: that
    of a few bytes is all latency, and the additional time of a bucket is all bandwidth.

    Raises ``DataError`` if the bucket takes no additional time.
    """
    if bucket_seconds <= latency_seconds:
        raise DataError(
            f"{bucket_bytes:,} bytes take no longer than {LATENCY_BYTES}: too few to measure the "
            f"bandwidth. Give a larger --megabytes."
        )
    hops = 2 * (ranks - 1)
    return hops / ranks * bucket_bytes / (bucket_seconds - latency_seconds), latency_seconds / hops
