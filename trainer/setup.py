"""Builds a run: everything that exists before the first step."""

from typing import Any

from pipeline.mixup import mixing
from trainer.checkpoints.checkpoint_file import load_checkpoint
from trainer.checkpoints.pretrained_source import find_source
from trainer.checkpoints.progress import Progress
from trainer.checkpoints.weights_input import recorded_input
from trainer.config import Settings
from trainer.data import TrainingData, end_position, open_data
from trainer.distributed.collectives import World
from trainer.fine_tuning import (
    build_freeze,
    head_for,
    load_initial_weights,
    lr_factors_for,
    prepare_input,
)
from trainer.first_checks import rank_batch_size
from trainer.model.sources.find import find_model
from trainer.model.sources.source import ModelSource
from trainer.optim.build import build_optimizer
from trainer.out_of_memory import BUILD, explained_memory
from trainer.recipes import recipe_lines
from trainer.resolve import resolve_run, run_identity
from trainer.run.run_dir import RunDir, open_run_dir
from trainer.run_model import network_spec, training_model
from trainer.step_setup import build_train_step
from trainer.stopping import TimeBudget
from trainer.task_options import task_of_run
from trainer.training_run import TrainingRun


def build_run(settings: Settings, world: World) -> TrainingRun:
    """Build a run and, if it resumes, load its checkpoint.

    Raises ``DataError`` and ``MisuseError`` on rank 0; the other ranks exit silently.
    """
    with world.fail_together():
        data = open_data(settings.pipeline, synthetic=settings.machine.synthetic)
        source = find_model(settings.recipe.model)
    settings, data, choices = resolve_run(settings, data, source, world)
    # The weights are in float32 with any --precision.
    with explained_memory(BUILD, settings, world.world_size, in_float32=False):
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
