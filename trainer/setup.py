"""Builds a run: everything that exists before the first step."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from pipeline.loader import Loader
from pipeline.mixup import Mixing, mixing
from trainer.checkpoints.checkpoint_file import Checkpoint, load_checkpoint
from trainer.checkpoints.pretrained_source import find_source
from trainer.checkpoints.progress import Identity, Progress
from trainer.checkpoints.weights_input import WeightsInput, recorded_input
from trainer.config import Settings
from trainer.data import TrainingData, end_position, open_data, train_batches
from trainer.distributed.collectives import World
from trainer.distributed.ddp import convert_sync_batchnorm, wrap_ddp
from trainer.fine_tuning import build_freeze, find_head, load_initial_weights, prepare_input
from trainer.first_checks import rank_batch_size
from trainer.model.build import Classifier, build_model, check_single_images
from trainer.model.ema import ModelEma
from trainer.model.freezing import BackboneFreeze
from trainer.model.precision import autocast_dtype, loss_scaler, set_float32
from trainer.optim.build import build_optimizer, build_schedule
from trainer.optim.schedule import Schedule
from trainer.recipes import recipe_lines
from trainer.run.run_dir import RunDir, launch_id, open_run_dir
from trainer.stopping import TimeBudget
from trainer.task_options import task_of_run
from trainer.tasks.segmentation import Segmentation
from trainer.tasks.tasks import Task, task_record
from trainer.train_step import TrainStep


@dataclass(frozen=True, kw_only=True)
class TrainingRun:
    """The parts of a run; only `progress` and `time_budget` change during training.

    Attributes:
        model: the model without DDP; `train_step` updates it.
        mix: MixUp and CutMix; None without them.
        checkpoint: what the run resumes from; None for a new run.
        weights_input: the input that the weights of --pretrained expect; None without such weights,
            or if it is unknown.
        notes: lines about recipe and weights for the startup message.
        open_batches: builds the training loader, with the parameters of ``train_batches``.
    """

    settings: Settings
    world: World
    data: TrainingData
    task: Task
    run_dir: RunDir
    model: Classifier
    train_step: TrainStep
    mix: Mixing | None
    checkpoint: Checkpoint | None
    progress: Progress
    time_budget: TimeBudget
    notes: tuple[str, ...]
    weights_input: WeightsInput | None = None
    open_batches: Callable[..., Loader] = train_batches

    def batches(self, position: int, end_position: int | None) -> Loader:
        """This rank's training batches between two positions; None for no end."""
        return self.open_batches(
            self.data,
            self.settings.pipeline,
            self.world,
            global_batch_size=self.settings.recipe.global_batch_size,
            position=position,
            end_position=end_position,
        )

    @property
    def ema_model(self) -> Classifier | None:
        """The model with averaged weights; None without ``--ema-decay``."""
        return self.train_step.ema.model if self.train_step.ema else None

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        return self.train_step.optimizer

    @property
    def dtype(self) -> torch.dtype | None:
        """Autocast type; None for float32."""
        return self.train_step.dtype

    @property
    def schedule(self) -> Schedule:
        """Learning-rate schedule up to the expected end."""
        recipe, samples = self.settings.recipe, self.data.samples
        end_position = self.time_budget.end_position
        if self.time_budget.is_timed:
            epochs = end_position / samples
            warmup = min(recipe.resolved_warmup_epochs, epochs / 10)
            recipe = replace(recipe, epochs=epochs, warmup_epochs=warmup)
        return build_schedule(recipe, samples=samples, end_position=end_position)

    @property
    def reached_target(self) -> bool:
        """Whether an evaluation has reached ``--target-top1``."""
        target = self.settings.run.target_top1
        return target is not None and self.progress.best.get("top1", 0.0) >= target

    @property
    def is_out_of_patience(self) -> bool:
        """Whether the last ``--patience`` evaluations were not better than one before them."""
        patience = self.settings.run.patience
        return patience is not None and self.progress.evaluations_without_gain >= patience

    @property
    def is_over(self) -> bool:
        """Whether the run has reached its end or its target, or is out of patience."""
        return self.time_budget.ended or self.reached_target or self.is_out_of_patience

    @property
    def epoch(self) -> float:
        """Passes over the training split so far."""
        return self.progress.position / self.data.samples

    @property
    def resolved(self) -> dict[str, Any]:
        """What settings, data and machine determine, for config.json."""
        return {
            "world_size": self.world.world_size,
            "device": self.world.device.type,
            "dtype": str(self.dtype or torch.float32),
            **self.data.facts,
            "task": task_record(self.task),
            "weights_input": self.weights_input and asdict(self.weights_input),
            # As plain text: a checkpoint can hold no TorchVersion.
            "torch": str(torch.__version__),
            "launch": launch_id(),
        }


def build_run(settings: Settings, world: World) -> TrainingRun:
    """Build a run and, if it resumes, load its checkpoint.

    Raises ``DataError`` and ``MisuseError`` on rank 0; the other ranks exit silently.
    """
    recipe, pipeline = settings.recipe, settings.pipeline
    with world.fail_together():
        batch_size = rank_batch_size(recipe, world.world_size)
        data = open_data(pipeline, synthetic=settings.machine.synthetic)
        task = task_of_run(data, settings)
        mix = mixing(pipeline, classes=data.classes, batch_size=batch_size, rank=world.rank)
        model = _build_model(settings, data, task, world, batch_size)
        head = find_head(settings, data, task)
        source = find_source(recipe.pretrained, recipe.model) if recipe.pretrained else None
    run_dir = _agree_on_run_dir(settings, world)
    optimizer = build_optimizer(model.network, recipe, head=head)
    checkpoint, weights_input, notes = None, None, recipe_lines(settings)
    if run_dir.resume_from:
        with world.fail_together():
            earlier = data.dataset.manifest.earlier_fingerprints if data.dataset else ()
            identity = run_identity(settings, data)
            checkpoint = load_checkpoint(run_dir.resume_from, identity, earlier)
            checkpoint.restore(network=model.network, optimizer=optimizer)
            weights_input = recorded_input(checkpoint.config, run_dir.resume_from)
    elif source:
        weights_input, lines = load_initial_weights(
            model.network, source, world, model=recipe.model, head=head
        )
        notes += lines
    settings, data, lines = prepare_input(settings, data, weights_input)
    model.normalize_by(data.mean, data.std)
    freeze, more_lines = build_freeze(settings, data, model, head, world)
    size = recipe.global_batch_size
    progress = checkpoint.progress_for(size) if checkpoint else Progress(step_origin=0)
    return TrainingRun(
        settings=settings,
        world=world,
        data=data,
        task=task,
        run_dir=run_dir,
        model=model,
        train_step=_build_train_step(settings, world, task, model, optimizer, checkpoint, freeze),
        mix=mix,
        checkpoint=checkpoint,
        progress=progress,
        time_budget=_build_time_budget(settings, data, progress),
        notes=(*notes, *lines, *more_lines),
        weights_input=weights_input,
    )


def model_for(settings: Settings, data: TrainingData, task: Task) -> Classifier:
    """The untrained model of a run on `data`, on the CPU.

    Raises ``MisuseError`` as ``build_model`` does.
    """
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


def _build_model(
    settings: Settings, data: TrainingData, task: Task, world: World, batch_size: int
) -> Classifier:
    """The model on its device; checks that batch norm can train on `batch_size` images per rank."""
    recipe, sizes_px = settings.recipe, settings.pipeline.progressive_resize or ()
    model = model_for(settings, data, task)
    if batch_size == recipe.accumulate_steps and not recipe.sync_bn:
        check_single_images(model, (data.image_size_px, *sizes_px))
    model = model.to(world.device)
    return convert_sync_batchnorm(model, world) if recipe.sync_bn else model


def _build_train_step(
    settings: Settings,
    world: World,
    task: Task,
    model: Classifier,
    optimizer: torch.optim.Optimizer,
    checkpoint: Checkpoint | None,
    freeze: BackboneFreeze | None,
) -> TrainStep:
    """Wrap and compile the model; restore average and loss scale, new ones if not in the
    checkpoint."""
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
    return TrainStep(
        model=wrap_ddp(model, world, machine),
        optimizer=optimizer,
        loss=task.loss,
        dtype=dtype,
        accumulate_steps=recipe.accumulate_steps,
        grad_clip_norm=recipe.grad_clip_norm,
        ema=ema,
        scaler=scaler,
        freeze=freeze,
    )


def _build_time_budget(settings: Settings, data: TrainingData, progress: Progress) -> TimeBudget:
    recipe, minutes = settings.recipe, settings.run.max_minutes
    position, size = progress.position, recipe.global_batch_size
    end = end_position(recipe.epochs, samples=data.samples, global_batch_size=size, start=position)
    return TimeBudget(
        position=position,
        step=size,
        end_position=end,
        seconds=None if minutes is None else 60 * minutes,
        spent_seconds=progress.spent_seconds,
    )


def _agree_on_run_dir(settings: Settings, world: World) -> RunDir:
    """Resolve and lock the directory on rank 0 for all ranks, until the world ends."""
    run_dir: Any = None
    with world.fail_together():
        if world.rank == 0:
            run_dir, lock = open_run_dir(settings.run)
            world.resources.enter_context(lock)
    return world.broadcast(run_dir)  # type: ignore[no-any-return]


def run_identity(settings: Settings, data: TrainingData) -> Identity:
    """What a checkpoint must share with a run by `settings` on `data`."""
    return Identity(
        fingerprint=data.fingerprint,
        seed=settings.pipeline.seed,
        model=settings.recipe.model,
        classes=data.classes,
        fold=settings.pipeline.fold,
    )
