"""Steps in DDP on one rank, over NCCL on a GPU: that its options work, and what they cost.

The trainer wraps its model in DDP on several ranks only, but two ranks can't share a GPU in NCCL.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch.distributed as dist
from torch import nn

from benchmarks.compute.config import CHANNELS_LAST
from benchmarks.compute.steps import Steps, prepare_model
from benchmarks.measuring.alternate import alternate
from benchmarks.measuring.table import report
from benchmarks.measuring.text import figure
from benchmarks.on_gpu.config import GpuRun
from pipeline.errors import DataError
from trainer.config import MachineConfig
from trainer.distributed.collectives import World
from trainer.distributed.ddp import build_ddp
from trainer.distributed.process_group import open_world

PLAIN = "no DDP"


def measure_one_rank(config: GpuRun, output: str) -> None:
    """Measure and report DDP with gradients in its buckets, the hook that exchanges bfloat16, and
    synchronized batch norm. Raises ``DataError`` if one of them fails."""
    with open_world(config.device) as world, process_group(config.device):
        ready, absent = {}, {}
        for name, wrap in wrappers(world).items():
            try:
                ready[name] = prepare(config, world, wrap)
            except (RuntimeError, ValueError) as error:
                absent[name] = str(error).strip().partition("\n")[0]
        if not ready:
            raise DataError("; ".join(f"{name}: {reason}" for name, reason in absent.items()))
        rows = alternate(ready, runs=config.amounts.runs)
    backend = "NCCL" if config.device == "cuda" else "gloo"
    report(
        f"{config.amounts.model}, batch {config.amounts.batch_size}, one rank over {backend}",
        "images/s",
        rows,
        kind="benchmarks.on_gpu one rank",
        facts={"backend": backend},
        absent=absent,
        finding="; ".join(f"{row.name} {figure(row.median)} images/s" for row in rows) + ".",
        output=output,
    )
    if absent:
        raise DataError(f"These failed: {', '.join(absent)}.")


def wrappers(world: World) -> dict[str, Callable[[nn.Module], nn.Module]]:
    """Name -> what wraps the model."""
    exchanged = MachineConfig(compress_gradients=True)
    candidates: dict[str, Callable[[nn.Module], nn.Module]] = {
        PLAIN: lambda model: model,
        "DDP": lambda model: build_ddp(model, world, MachineConfig()),
        "DDP, bfloat16 exchange": lambda model: build_ddp(model, world, exchanged),
    }
    if world.device.type == "cuda":  # torch has no synchronized batch norm on CPUs
        convert = nn.SyncBatchNorm.convert_sync_batchnorm
        candidates["DDP, synchronized batch norm"] = lambda model: build_ddp(
            convert(model),  # type: ignore[no-untyped-call]
            world,
            MachineConfig(),
        )
    return candidates


def prepare(config: GpuRun, world: World, wrap: Callable[[nn.Module], nn.Module]) -> Steps:
    """A candidate whose first steps are made. The weights stay the optimizer's."""
    amounts = config.amounts
    model = prepare_model(
        amounts.model,
        mode=CHANNELS_LAST,
        image_size_px=amounts.image_size_px,
        precision=amounts.precision,
        world=world,
    )
    wrapped = replace(model, update=replace(model.update, model=wrap(model.update.model)))
    steps = Steps(model=wrapped, batch_size=amounts.batch_size, seconds=amounts.seconds)
    steps.prepare()
    return steps


@contextmanager
def process_group(device: str) -> Iterator[None]:
    """A process group of this process alone."""
    with tempfile.TemporaryDirectory() as folder:
        dist.init_process_group(
            "nccl" if device == "cuda" else "gloo",
            init_method=f"file://{Path(folder, 'ranks')}",
            rank=0,
            world_size=1,
        )
        try:
            yield
        finally:
            dist.destroy_process_group()
