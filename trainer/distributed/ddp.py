"""One model on several ranks, and compiled."""

import inspect
from typing import Any

from torch import nn
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import bf16_compress_hook
from torch.nn.parallel import DistributedDataParallel

from pipeline.errors import MisuseError
from trainer.config import MachineConfig
from trainer.distributed.collectives import World
from trainer.model.build import Classifier


def convert_sync_batchnorm(model: Classifier, world: World) -> Classifier:
    """`model` with each batch norm over the batch of all ranks (``--sync-bn``).

    Raises ``MisuseError`` without CUDA, for which alone torch has it.
    """
    if world.device.type != "cuda":
        raise MisuseError("--sync-bn: torch has it for CUDA alone, and this run is on the CPU.")
    if world.world_size == 1:
        return model
    shared: Classifier = nn.SyncBatchNorm.convert_sync_batchnorm(  # type: ignore[no-untyped-call]
        model, world.group
    )
    return shared


def wrap_ddp(model: Classifier, world: World, config: MachineConfig) -> nn.Module:
    """`model` with gradients averaged over the ranks; itself where there is one rank.

    Buffers stay each rank's own: ``average_buffers`` makes them equal when they are looked at.
    With ``--compile`` it is compiled in place, at its first step and anew for other image sizes.
    """
    parallel = model if world.world_size == 1 else _over_ranks(model, world, config)
    if config.compile != "none":
        parallel.compile(mode=config.compile)
    return parallel


def _over_ranks(model: Classifier, world: World, config: MachineConfig) -> DistributedDataParallel:
    # Named anew in torch 2.14, which warns at the old name.
    known = inspect.signature(DistributedDataParallel.__init__).parameters
    name = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
    own_buffers: dict[str, Any] = {name: False}
    parallel = DistributedDataParallel(
        model,
        device_ids=[world.device] if world.device.type == "cuda" else None,
        process_group=world.group,
        gradient_as_bucket_view=True,
        static_graph=config.static_graph,
        **own_buffers,
    )
    if config.compress_gradients:
        parallel.register_comm_hook(None, bf16_compress_hook)
    return parallel


def average_buffers(model: nn.Module, world: World) -> None:
    """Average the running statistics of batch norm over the ranks.

    They are linear in what the ranks saw, so it doesn't matter when or how often this is done.
    """
    world.all_reduce_mean_(buffer for buffer in model.buffers() if buffer.is_floating_point())
