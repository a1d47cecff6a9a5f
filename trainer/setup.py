"""Builds a run: everything that exists before the first step."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from pipeline.loader import Loader
from pipeline.mixup import Mixing, mixing
from trainer.checkpoints.checkpoint_file import Checkpoint, load_checkpoint
from trainer.checkpoints.pretrained_source import find_source
from trainer.checkpoints.progress import Progress
from trainer.checkpoints.weights_input import recorded_input
from trainer.compile_errors import explained_compilation
from trainer.config import Settings
from trainer.data import TrainingData, end_position, open_data, train_batches
from trainer.distributed.collectives import World
from trainer.fine_tuning import (
    build_freeze,
    head_for,
    load_initial_weights,
    lr_factors_for,
    prepare_input,
)
from trainer.first_checks import rank_batch_size
from trainer.model.build import Classifier
from trainer.model.sources.find import find_model
from trainer.model.sources.own_file import OwnModel
from trainer.model.sources.source import ModelSource, WeightsInput
from trainer.model.sources.stored_file import CONFIG_KEY, record_of
from trainer.optim.build import build_optimizer, build_schedule
from trainer.optim.schedule import Schedule
from trainer.out_of_memory import BUILD, explained_memory
from trainer.recipes import recipe_lines
from trainer.resolve import resolve_run, run_identity
from trainer.run.run_dir import RunDir, launch_id, open_run_dir
from trainer.run_model import network_spec, training_model
from trainer.step_setup import build_train_step
from trainer.stopping import TimeBudget
from trainer.task_options import task_of_run
from trainer.tasks.tasks import Task, task_record
from trainer.train_step import TrainStep


@dataclass(frozen=True, kw_only=True)
class TrainingRun:
    """The parts of a run; only `progress` and `time_budget` change during training.

    Attributes:
        model_source: where the model comes from.
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
    model_source: ModelSource
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

    @contextmanager
    def explained(self, where: str) -> Iterator[None]:
        """A context that raises ``DataError`` with what to do if memory ends in it, or if the model
        can't be compiled."""
        memory = explained_memory(where, self.settings, self.world.world_size)
        with explained_compilation(self.settings), memory:
            yield

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
    def epochs(self) -> float:
        """Length of the run in epochs: as --epochs asks for, or up to the expected deadline."""
        if self.time_budget.is_timed:
            return self.time_budget.end_position / self.data.samples
        return self.settings.recipe.epochs

    @property
    def epoch(self) -> float:
        """Passes over the training split so far, without what the last step adds to `epochs`."""
        return min(self.progress.position / self.data.samples, self.epochs)

    @property
    def resolved(self) -> dict[str, Any]:
        """What settings, data and machine determine, for config.json."""
        source = self.model_source
        own = {CONFIG_KEY: asdict(record_of(source))} if isinstance(source, OwnModel) else {}
        return {
            **own,
            "world_size": self.world.world_size,
            "device": self.world.device.type,
            "dtype": str(self.dtype or torch.float32),
            "accumulate_steps": self.train_step.micro_batch_count,
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
    with world.fail_together():
        data = open_data(settings.pipeline, synthetic=settings.machine.synthetic)
        source = find_model(settings.recipe.model)
    settings, data, choices = resolve_run(settings, data, source, world)
    with explained_memory(BUILD, settings, world.world_size):
        return _build(settings, data, source, world, choices)


def _build(
    settings: Settings, data: TrainingData, source: ModelSource, world: World, choices: list[str]
) -> TrainingRun:
    """Build a run by `settings` without open choices; `choices` are lines about them."""
    recipe, pipeline = settings.recipe, settings.pipeline
    with world.fail_together():
        batch_size = rank_batch_size(recipe, world.world_size)
        task = task_of_run(data, settings)
        mix = mixing(pipeline, classes=data.classes, batch_size=batch_size, rank=world.rank)
        spec = network_spec(settings, data, task)
        model = training_model(settings, data, source, spec, world, batch_size)
        head = head_for(recipe, source, model.network, spec)
        factors = lr_factors_for(recipe, source, model.network, head)
        weights = find_source(recipe.pretrained, source) if recipe.pretrained else None
    run_dir = _agree_on_run_dir(settings, world)
    optimizer = build_optimizer(model.network, recipe, lr_factors=factors)
    checkpoint, weights_input, notes = None, None, [*recipe_lines(settings), *choices]
    if run_dir.resume_from:
        with world.fail_together():
            identity = run_identity(settings, data, source)
            checkpoint = load_checkpoint(run_dir.resume_from, identity, data.earlier_fingerprints)
            checkpoint.restore(network=model.network, optimizer=optimizer)
            weights_input = recorded_input(checkpoint.config, run_dir.resume_from)
    elif weights:
        weights_input, lines = load_initial_weights(
            model.network, weights, world, model=source, head=head, image_size_px=data.image_size_px
        )
        notes += lines
    settings, data, lines = prepare_input(settings, data, weights_input)
    model.normalize_by(data.mean, data.std)
    freeze, more_lines = build_freeze(settings, data, model, head)
    train_step = build_train_step(settings, world, task, model, optimizer, checkpoint, freeze)
    size = recipe.global_batch_size
    progress = checkpoint.progress_for(size) if checkpoint else Progress(step_origin=0)
    return TrainingRun(
        settings=settings,
        world=world,
        data=data,
        task=task,
        run_dir=run_dir,
        model_source=source,
        model=model,
        train_step=train_step,
        mix=mix,
        checkpoint=checkpoint,
        progress=progress,
        time_budget=_build_time_budget(settings, data, progress),
        notes=(*notes, *lines, *more_lines),
        weights_input=weights_input,
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
