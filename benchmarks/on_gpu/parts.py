"""The parts of the command, the most valuable first. Imports of a part wait until it runs."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from benchmarks.on_gpu.command_runs import (
    CommandRun,
    compute,
    fixed,
    peers,
    small_loader,
    small_scaling,
    sweep,
)
from benchmarks.on_gpu.config import COMPUTE, DECODE, TRAIN, GpuRun
from pipeline.errors import MisuseError

# Measures and writes the result to a file.
Run = Callable[[GpuRun, str], None]


@dataclass(frozen=True, kw_only=True)
class Part:
    """`needs_gpu`: it has no small version for a CPU."""

    name: str
    group: str
    limit_seconds: float
    run: Run
    needs_gpu: bool = False


def select(config: GpuRun) -> list[Part]:
    """The parts of --parts, in the order of PARTS. Raises ``MisuseError`` for unknown names."""
    known = {part.name for part in PARTS} | {part.group for part in PARTS}
    names = known if config.parts is None else set(config.parts)
    if unknown := sorted(names - known):
        raise MisuseError(
            f"--parts: there is no part {', '.join(unknown)}. The groups are "
            f"{', '.join(dict.fromkeys(part.group for part in PARTS))}; the parts are "
            f"{', '.join(part.name for part in PARTS)}."
        )
    chosen = [part for part in PARTS if {part.name, part.group} & names]
    return [part for part in chosen if config.device == "cuda" or not part.needs_gpu]


def describe_machine(config: GpuRun, output: str) -> None:
    from benchmarks.on_gpu.machine import describe_machine

    describe_machine(config, output)


def one_rank(config: GpuRun, output: str) -> None:
    from benchmarks.on_gpu.one_rank import measure_one_rank

    measure_one_rank(config, output)


def decode(config: GpuRun, output: str, *, way: str, sampling: str) -> None:
    from benchmarks.on_gpu.decode import measure_decoding

    measure_decoding(config, output, way=way, sampling=sampling)


def gpu_tests(config: GpuRun, output: str) -> None:
    from benchmarks.on_gpu.gpu_tests import run_gpu_tests

    run_gpu_tests(config)


def determinism(config: GpuRun, output: str) -> None:
    from benchmarks.on_gpu.determinism import check_determinism

    check_determinism(config, output)


def write_shards(config: GpuRun, output: str) -> None:
    from benchmarks.on_gpu.pictures import shards_folder

    for form in ("jpeg", "png"):
        shards_folder(config, form)


def trainings(config: GpuRun, output: str, **arguments: Any) -> None:
    from benchmarks.on_gpu.trainings import measure_trainings

    measure_trainings(config, output, **arguments)


# The compilation is a part of these minutes.
GRAPHS = {"compile": "reduce-overhead", "max_minutes": 0.6}
COMPUTE_PARTS = (
    Part(name="machine", group=COMPUTE, limit_seconds=60, run=describe_machine),
    Part(name="eager", group=COMPUTE, limit_seconds=60, run=compute("channels-last")),
    Part(name="one-rank", group=COMPUTE, limit_seconds=75, run=one_rank),
    Part(
        name="compiled",
        group=COMPUTE,
        limit_seconds=170,
        run=compute("channels-last", "compiled", "graphs"),
        needs_gpu=True,
    ),
)
DECODE_PARTS = (
    *(
        Part(
            name=f"decode-{way}-{sampling}",
            group=DECODE,
            limit_seconds=60,
            run=partial(decode, way=way, sampling=sampling),
        )
        for sampling in ("420", "444")
        for way in ("region", "region-plain", "whole")
    ),
    Part(name="tests", group=DECODE, limit_seconds=90, run=gpu_tests),
    Part(name="determinism", group=DECODE, limit_seconds=90, run=determinism),
    Part(
        name="first-training",
        group=DECODE,
        limit_seconds=120,
        run=partial(trainings, names=("synthetic", "JPEG")),
    ),
)
TRAIN_PARTS = (
    Part(name="shards", group=TRAIN, limit_seconds=120, run=write_shards),
    Part(
        name="trainings",
        group=TRAIN,
        limit_seconds=180,
        run=partial(trainings, names=("synthetic", "JPEG", "PNG", "JPEG, MixUp")),
    ),
    Part(
        name="loader",
        group=TRAIN,
        limit_seconds=90,
        run=CommandRun("benchmarks.loader", fixed("--threads", "16"), small_loader),
    ),
    Part(
        name="scaling",
        group=TRAIN,
        limit_seconds=150,
        run=CommandRun("benchmarks.scaling", fixed("--ranks", "1"), small_scaling),
    ),
    Part(name="threads", group=TRAIN, limit_seconds=90, run=sweep("threads")),
    Part(
        name="hw-decoder-load",
        group=TRAIN,
        limit_seconds=90,
        run=sweep("hw-decoder-load"),
        needs_gpu=True,
    ),
    Part(
        name="graphs",
        group=TRAIN,
        limit_seconds=200,
        run=partial(trainings, names=("JPEG",), options=GRAPHS, runs=3),
        needs_gpu=True,
    ),
    Part(
        name="device-cache",
        group=TRAIN,
        limit_seconds=90,
        run=partial(trainings, names=("JPEG",), options={"cache": "device"}),
        needs_gpu=True,
    ),
    Part(name="peers", group=TRAIN, limit_seconds=120, run=CommandRun("benchmarks.peers", peers)),
)
PARTS = (*COMPUTE_PARTS, *DECODE_PARTS, *TRAIN_PARTS)
