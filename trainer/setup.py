"""What a run is made of, built before the first step."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from pipeline.errors import MisuseError
from pipeline.loader import Loader
from pipeline.mixup import Mixing, mixing
from pipeline.plan.ranks import per_rank_batch_size
from trainer.checkpoints.checkpoint_file import (
    Checkpoint,
    Identity,
    Progress,
    load_checkpoint,
    restore,
)
from trainer.checkpoints.pretrained import load_pretrained
from trainer.config import MachineConfig, RecipeConfig, RunConfig, Settings
from trainer.data import TrainingData, end_position, open_data, task_of, train_batches
from trainer.distributed.collectives import World
from trainer.distributed.ddp import convert_sync_batchnorm, wrap_ddp
from trainer.model.build import Classifier, build_model, check_single_images
from trainer.model.ema import ModelEma
from trainer.model.precision import autocast_dtype, loss_scaler, set_float32
from trainer.optim.build import build_optimizer, build_schedule
from trainer.optim.schedule import Schedule
from trainer.recipes import recipe_lines
from trainer.run.run_dir import RunDir, launch, resolve_run_dir
from trainer.tasks.segmentation import Segmentation
from trainer.tasks.tasks import Task, task_record
from trainer.time_budget import Horizon
from trainer.train_step import TrainStep


@dataclass(frozen=True, kw_only=True)
class TrainingRun:
    """`progress` and `horizon` alone change as the run goes.

    `update` changes `model`, through DDP where there are several ranks; `notes` are what is
    to be said of the recipe; `open_batches` makes the batches of training.
    """

    settings: Settings
    world: World
    data: TrainingData
    task: Task
    place: RunDir
    model: Classifier
    update: TrainStep
    mix: Mixing | None
    checkpoint: Checkpoint | None
    progress: Progress
    horizon: Horizon
    notes: tuple[str, ...]
    open_batches: Callable[..., Loader] = train_batches

    @property
    def averaged(self) -> Classifier | None:
        """The running average of `model`, with ``--ema-decay``."""
        return self.update.averaged.model if self.update.averaged else None

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        return self.update.optimizer

    @property
    def dtype(self) -> torch.dtype | None:
        """Autocast's, None for float32."""
        return self.update.dtype

    @property
    def end_position(self) -> int:
        return self.horizon.end_position

    @property
    def schedule(self) -> Schedule:
        """The learning rate's, as the end is seen now."""
        recipe, samples = self.settings.recipe, self.data.samples
        if self.horizon.is_timed:
            epochs = self.end_position / samples
            warmup = min(recipe.resolved_warmup_epochs, epochs / 10)
            recipe = replace(recipe, epochs=epochs, warmup_epochs=warmup)
        return build_schedule(recipe, samples=samples, end_position=self.end_position)

    @property
    def reached_target(self) -> bool:
        target = self.settings.run.target_top1
        return target is not None and self.progress.best.get("top1", 0.0) >= target

    @property
    def epoch(self) -> float:
        return self.progress.position / self.data.samples

    @property
    def identity(self) -> Identity:
        return _identity(self.settings, self.data)

    @property
    def resolved(self) -> dict[str, Any]:
        """What followed from the settings, the data and the machine."""
        return {
            "world_size": self.world.world_size,
            "device": self.world.device.type,
            "dtype": str(self.dtype or torch.float32),
            "image_size_px": self.data.image_size_px,
            "samples": self.data.samples,
            "classes": self.data.classes,
            "mean": self.data.mean,
            "std": self.data.std,
            "task": task_record(self.task),
            "fingerprint": self.data.fingerprint,
            "torch": torch.__version__,
            "launch": launch(),
        }


def build_run(settings: Settings, world: World) -> TrainingRun:
    """Build the model and, where there is a checkpoint to go on from, restore it."""
    recipe, machine, pipeline = settings.recipe, settings.machine, settings.pipeline
    with world.fail_together():
        batch_size = per_rank_batch_size(recipe.global_batch_size, world.world_size)
        _check_parts(recipe, machine, batch_size)
        data = open_data(pipeline, synthetic=machine.synthetic)
        task = task_of(data, label_smoothing=recipe.label_smoothing)
        mix = mixing(pipeline, classes=data.classes, batch_size=batch_size, rank=world.rank)
        model = model_for(settings, data, task)
        if batch_size == recipe.accumulate_steps and not recipe.sync_bn:
            check_single_images(model, (data.image_size_px, *(pipeline.progressive_resize or ())))
        model = model.to(world.device)
        if recipe.sync_bn:
            model = convert_sync_batchnorm(model, world)
    place = _agree_on_place(settings.run, world)
    optimizer = build_optimizer(model, recipe)
    checkpoint, notes = None, recipe_lines(settings)
    with world.fail_together():
        if settings.run.target_top1 is not None and task.best_by != "top1":
            raise MisuseError("--target-top1 is for classification, these shards are not.")
        if place.resumed:
            checkpoint = load_checkpoint(place.resumed, _identity(settings, data))
            restore(checkpoint, network=model.network, optimizer=optimizer)
        elif recipe.pretrained:
            notes.append(load_pretrained(model.network, Path(recipe.pretrained)))
    progress = checkpoint.progress if checkpoint else Progress()
    dtype = autocast_dtype(machine.precision, world.device, model)
    set_float32(machine.precision)
    return TrainingRun(
        settings=settings,
        world=world,
        data=data,
        task=task,
        place=place,
        model=model,
        update=TrainStep(
            # The average copies the model as it is before it is compiled.
            averaged=_averaged(model, recipe.ema_decay, checkpoint),
            model=wrap_ddp(model, world, machine),
            optimizer=optimizer,
            loss=task.loss,
            dtype=dtype,
            accumulate_steps=recipe.accumulate_steps,
            grad_clip_norm=recipe.grad_clip_norm,
            scaler=_scaler(world.device, dtype, checkpoint),
        ),
        mix=mix,
        checkpoint=checkpoint,
        progress=progress,
        horizon=_horizon(settings, data, progress),
        notes=tuple(notes),
    )


def model_for(settings: Settings, data: TrainingData, task: Task) -> Classifier:
    """The untrained model of a run on `data`, on the CPU; raises ``MisuseError`` as ``build_model``
    does."""
    recipe, pipeline = settings.recipe, settings.pipeline
    return build_model(
        recipe.model,
        classes=task.outputs,
        image_size_px=data.image_size_px,
        mean=data.mean,
        std=data.std,
        seed=pipeline.seed,
        other_sizes_px=pipeline.progressive_resize or (),
        blurpool=recipe.blurpool,
        pixelwise=isinstance(task, Segmentation),
    )


def _horizon(settings: Settings, data: TrainingData, progress: Progress) -> Horizon:
    size, minutes = settings.recipe.global_batch_size, settings.run.max_minutes
    return Horizon(
        position=progress.position,
        step=size,
        end_position=end_position(
            settings.recipe.epochs,
            samples=data.samples,
            global_batch_size=size,
            start=progress.position,
        ),
        seconds=None if minutes is None else 60 * minutes,
        spent_seconds=progress.spent_seconds,
    )


def _averaged(
    model: Classifier, decay: float | None, checkpoint: Checkpoint | None
) -> ModelEma[Classifier] | None:
    """The average so far; of the weights as they are where none was kept."""
    if decay is None:
        return None
    averaged = ModelEma(model, decay)
    if checkpoint and checkpoint.ema:
        averaged.model.network.load_state_dict(checkpoint.ema)
    return averaged


def _scaler(
    device: torch.device, dtype: torch.dtype | None, checkpoint: Checkpoint | None
) -> torch.amp.GradScaler:
    scaler = loss_scaler(device, dtype)
    if checkpoint and checkpoint.scaler:
        scaler.load_state_dict(checkpoint.scaler)
    return scaler


def _check_parts(recipe: RecipeConfig, machine: MachineConfig, batch_size: int) -> None:
    if recipe.accumulate_steps > 1 and machine.static_graph:
        # torch 2.14's DDP fails on an assertion of its own.
        raise MisuseError("--static-graph doesn't go with --accumulate-steps: take one of them.")
    if batch_size % recipe.accumulate_steps:
        raise MisuseError(
            f"--accumulate-steps {recipe.accumulate_steps} does not divide the {batch_size} "
            f"samples that each rank has of a step: take a divisor."
        )


def _agree_on_place(config: RunConfig, world: World) -> RunDir:
    with world.fail_together():
        places = [resolve_run_dir(config)] if world.rank == 0 else []
    return world.broadcast(places)[0]


def _identity(settings: Settings, data: TrainingData) -> Identity:
    return Identity(
        fingerprint=data.fingerprint,
        seed=settings.pipeline.seed,
        model=settings.recipe.model,
        classes=data.classes,
    )
