"""Data-parallel training: DDP, synchronized batch norm, and torch.compile."""

import importlib
import inspect
import os
from typing import Any

import torch
from torch import nn
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import bf16_compress_hook
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from pipeline.errors import MisuseError
from trainer.config import MachineConfig
from trainer.distributed.collectives import World
from trainer.model.build import Classifier

# Most shapes of images that torch.compile compiles for before it gives up and runs the model
# without; its default is 8. Progressive resizing to 1024 px has 32, an evaluation adds two.
COMPILED_SHAPES = 64


def convert_sync_batchnorm(model: Classifier, world: World) -> Classifier:
    """Make each batch norm of `model` use the batch of all ranks (``--sync-bn``).

    Raises ``MisuseError`` on CPUs, which torch does not support, and for a model without batch
    norms.
    """
    if world.device.type != "cuda":
        raise MisuseError(
            "--sync-bn: torch supports it only on GPUs, and this run is on the CPU: leave it out."
        )
    norms = [type(module) for module in model.modules() if isinstance(module, _BatchNorm)]
    if not norms:
        raise MisuseError("--sync-bn: the model has no batch norm: leave it out.")
    if world.world_size == 1:
        return model
    convert: Any = nn.SyncBatchNorm.convert_sync_batchnorm
    if any(norm.__module__.startswith("timm.") for norm in norms):
        # torch would lose the activation functions that timm's batch norms contain.
        convert = importlib.import_module("timm.layers").convert_sync_batchnorm
    synchronized: Classifier = convert(model, world.group)
    return synchronized


def wrap_ddp(model: Classifier, world: World, config: MachineConfig) -> nn.Module:
    """Wrap `model` in DDP, which averages gradients over the ranks; one rank needs no wrapper.

    Each rank keeps its own buffers; ``average_buffers`` makes them equal before they are used.
    """
    parallel = model if world.world_size == 1 else build_ddp(model, world, config)
    return _compiled(parallel, world, config)


def start_without_ddp(model: Classifier, world: World, config: MachineConfig) -> nn.Module:
    """`model` for steps that average gradients themselves, with the weights of rank 0 as in DDP.

    NCCL takes its own memory in this first exchange, while there is some.
    """
    world.copy_from_rank_0_(parameter.data for parameter in model.parameters())
    return _compiled(model, world, config)


def _compiled(model: nn.Module, world: World, config: MachineConfig) -> nn.Module:
    """``--compile`` compiles in place, at the first step and again for each other shape of
    images."""
    if config.compile != "none":
        _limit_compiling(world)
        limits: Any = torch._dynamo.config
        limits.recompile_limit = max(limits.recompile_limit, COMPILED_SHAPES)
        # By default the second shape compiles slower code, for any size.
        model.compile(mode=config.compile, dynamic=False)
    return model


def _limit_compiling(world: World) -> None:
    """By default each rank would compile in a process for each core, up to 32, whatever the quota
    of the container."""
    if "TORCHINDUCTOR_COMPILE_THREADS" not in os.environ:
        inductor: Any = importlib.import_module("torch._inductor.config")
        inductor.compile_threads = min(inductor.compile_threads, world.threads)


def build_ddp(model: nn.Module, world: World, config: MachineConfig) -> DistributedDataParallel:
    """Wrap `model` in DDP, on one rank as well."""
    # torch 2.14 renamed the option and warns about the old name.
    parameters = inspect.signature(DistributedDataParallel.__init__).parameters
    name = "forward_sync_buffers" if "forward_sync_buffers" in parameters else "broadcast_buffers"
    unsynchronized_buffers: dict[str, Any] = {name: False}
    parallel = DistributedDataParallel(
        model,
        device_ids=[world.device] if world.device.type == "cuda" else None,
        process_group=world.group,
        gradient_as_bucket_view=True,
        static_graph=config.static_graph,
        **unsynchronized_buffers,
    )
    if config.compress_gradients:
        parallel.register_comm_hook(None, bf16_compress_hook)
    return parallel


def average_buffers(model: nn.Module, world: World) -> None:
    """Average the running statistics of batch norm over the ranks.

    They are linear in the batches' statistics, so any time and number of calls gives the same.
    """
    world.all_reduce_mean_(buffer for buffer in model.buffers() if buffer.is_floating_point())
