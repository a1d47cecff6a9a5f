"""Builds the training step of a run."""

import torch

from trainer.checkpoints.checkpoint_file import Checkpoint
from trainer.config import Settings
from trainer.distributed.collectives import World
from trainer.distributed.ddp import start_without_ddp, wrap_ddp
from trainer.micro_batches import MicroBatches, micro_batch_count
from trainer.model.build import Classifier
from trainer.model.ema import ModelEma
from trainer.model.freezing import BackboneFreeze
from trainer.model.precision import autocast_dtype, loss_scaler, set_float32
from trainer.model.rehearsal import smallest_batch
from trainer.tasks.tasks import Task
from trainer.train_step import TrainStep


def build_train_step(
    settings: Settings,
    world: World,
    task: Task,
    model: Classifier,
    optimizer: torch.optim.Optimizer,
    checkpoint: Checkpoint | None,
    freeze: BackboneFreeze | None,
) -> TrainStep:
    """Wrap and compile the model; restore average, loss scale and the size of micro-batches, new
    ones if not in the checkpoint. All ranks must call this."""
    recipe, machine = settings.recipe, settings.machine
    dtype = autocast_dtype(machine.precision, world.device, model)
    set_float32(machine.precision)
    scaler = loss_scaler(world.device, dtype)
    if checkpoint and checkpoint.scaler:
        scaler.load_state_dict(checkpoint.scaler)
    # Copies the model, so it must come before compilation.
    ema = ModelEma(model, recipe.ema_decay) if recipe.ema_decay else None
    if ema and checkpoint and checkpoint.ema:
        checkpoint.copy_weights(ema.model.network, averaged=True)
    if recipe.accumulate_steps == "auto":
        size = checkpoint.progress.micro_batch_size if checkpoint else None
        micro_batches = _micro_batches(settings, world, model, size)
        parallel, steps = start_without_ddp(model, world, machine), 1
    else:
        micro_batches = None
        parallel, steps = wrap_ddp(model, world, machine), recipe.accumulate_steps
    return TrainStep(
        model=parallel,
        optimizer=optimizer,
        loss=task.loss,
        dtype=dtype,
        accumulate_steps=steps,
        micro_batches=micro_batches,
        grad_clip_norm=recipe.grad_clip_norm,
        ema=ema,
        scaler=scaler,
        freeze=freeze,
        average=world.all_reduce_mean_,
    )


def _micro_batches(
    settings: Settings, world: World, model: Classifier, size: int | None
) -> MicroBatches:
    """Micro-batches of at most `size` images, as the resumed run had them; None for a new one."""
    pipeline, batch_size = settings.pipeline, settings.recipe.global_batch_size // world.world_size
    sizes_px = (pipeline.image_size, *(pipeline.progressive_resize or ()))
    smallest = smallest_batch(model, [side_px for side_px in sizes_px if side_px])
    count = micro_batch_count(batch_size, largest=size or batch_size, smallest=smallest)
    return MicroBatches(
        model=model, world=world, batch_size=batch_size, count=count or 1, smallest=smallest
    )
