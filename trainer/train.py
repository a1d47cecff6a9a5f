"""A training run, from its configs to its summary."""

import dataclasses
import signal
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from pipeline.loader import Loader
from trainer.checkpoint import save_checkpoint
from trainer.config import Settings
from trainer.data import train_batches, val_batches
from trainer.distributed import World, open_world
from trainer.endings import StopSignal
from trainer.evaluation import evaluate
from trainer.job import Job, prepare
from trainer.journal import Journal
from trainer.loop import StepRecord, train_steps
from trainer.metrics import Meter
from trainer.model import average_buffers
from trainer.optim import build_schedule
from trainer.runs import write_config

# Settings that may change on the way without a word.
UNREMARKABLE = {
    *("out", "resume", "shards", "device", "threads", "prefetch", "read_ahead"),
    *("cache", "cache_dir", "cache_size", "stall_timeout"),
}


def run(settings: Settings) -> None:
    """Train to the end, or until SIGTERM or SIGINT: then save and exit with 128 + its number.

    Raises ``DataError`` and ``MisuseError``; what keeps a run from starting is raised in rank 0
    alone, the others leave silently.
    """
    with StopSignal() as stop, open_world(settings.machine.device) as world:
        job = prepare(_with_threads(settings, world), world)
        with open_journal(job) as journal:
            journal.say(greeting(job))
            with _validation(job) as validation:
                _train(job, journal, stop, validation)
            stopped_by = world.agree(stop.number)
            if stopped_by:
                journal.say(farewell(job, stopped_by))
                raise SystemExit(128 + stopped_by)
            journal.summary(job.progress)


def _with_threads(settings: Settings, world: World) -> Settings:
    """DALI has this rank's share of the cores unless something else was asked for."""
    threads = settings.pipeline.threads or world.threads
    pipeline = dataclasses.replace(settings.pipeline, threads=threads)
    return dataclasses.replace(settings, pipeline=pipeline)


def open_journal(job: Job) -> Journal:
    """Write config.json, and open what is written as the run goes."""
    if job.world.rank == 0:
        write_config(job.place.directory, {**job.settings.plain(), "resolved": job.resolved})
    return Journal(
        job.place,
        rank=job.world.rank,
        samples=job.data.samples,
        position=job.progress.position,
        end_position=job.end_position,
    )


@contextmanager
def _validation(job: Job) -> Iterator[Loader | None]:
    """One loader for all evaluations, so that what it keeps lasts; None without a split."""
    batches = val_batches(
        job.data,
        job.settings.pipeline,
        job.world,
        global_batch_size=job.settings.recipe.global_batch_size,
    )
    with batches or nullcontext():
        yield batches


def _train(job: Job, journal: Journal, stop: StopSignal, validation: Loader | None) -> None:
    """Step, log, evaluate and save until the end or a signal."""
    config, world, progress = job.settings.run, job.world, job.progress
    if _is_due(job, config.val_every) and progress.evaluated_position < progress.position:
        # The process before this one was stopped in this evaluation.
        evaluated = _evaluate(job, journal, stop, validation)
        _save(job)
        if not evaluated:
            return
    meter = Meter(world)
    with _batches(job) as batches:
        meter.start()
        for record in _steps(job, batches):
            progress.position = record.position
            journal.step(record.position)
            meter.add(record)
            stopped = world.agree(stop.number) is not None
            evaluates = not stopped and _is_due(job, config.val_every)
            pauses = stopped or evaluates or _is_due(job, config.checkpoint_every)
            if pauses or meter.steps == job.settings.log.log_every:
                journal.interval(meter.stop(), world.gather_rows(batches.bad_samples()))
            if pauses:
                evaluated = not evaluates or _evaluate(job, journal, stop, validation)
                _save(job)
                if stopped or not evaluated:
                    return
                meter.start()


def _batches(job: Job) -> Loader:
    return train_batches(
        job.data,
        job.settings.pipeline,
        job.world,
        global_batch_size=job.settings.recipe.global_batch_size,
        position=job.progress.position,
        end_position=job.end_position,
    )


def _steps(job: Job, batches: Loader) -> Iterator[StepRecord]:
    return train_steps(
        batches,
        job.update,
        schedule=build_schedule(
            job.settings.recipe, samples=job.data.samples, end_position=job.end_position
        ),
        global_batch_size=job.settings.recipe.global_batch_size,
        position=job.progress.position,
        seed=hash((job.settings.pipeline.seed, job.world.rank)),
        mix=job.mix,
    )


def _is_due(job: Job, every_epochs: float) -> bool:
    """Did the last step cross a multiple of `every_epochs`, or end the run?"""
    position = job.progress.position
    if position >= job.end_position or not every_epochs:
        return position >= job.end_position
    period = every_epochs * job.data.samples
    return (position - job.settings.recipe.global_batch_size) // period < position // period


def _evaluate(job: Job, journal: Journal, stop: StopSignal, validation: Loader | None) -> bool:
    """Evaluate where there is a validation split; False if a signal broke it off."""
    progress = job.progress
    if validation is None:
        progress.evaluated_position = progress.position
        return True
    model = job.averaged or job.model
    average_buffers(model, job.world)
    evaluation = evaluate(
        validation,
        model,
        job.world,
        job.task,
        dtype=job.dtype,
        stopped=lambda: stop.number is not None,
    )
    if evaluation is None:
        return False
    journal.evaluation(progress.position, evaluation)
    progress.evaluated_position = progress.position
    by, metrics = job.task.best_by, dict(evaluation.metrics)
    if not progress.best or metrics[by] > progress.best[by]:
        progress.best = metrics
    return True


def _save(job: Job) -> None:
    average_buffers(job.model, job.world)
    if job.averaged:
        average_buffers(job.averaged, job.world)
    if job.world.rank == 0:
        save_checkpoint(
            job.place.checkpoint,
            network=job.model.network,
            ema=job.averaged and job.averaged.network,
            optimizer=job.optimizer,
            progress=job.progress,
            identity=job.identity,
            config=job.settings.plain(),
        )
    job.world.barrier()


def greeting(job: Job) -> str:
    """What is about to run, in a sentence a line."""
    recipe, world, data = job.settings.recipe, job.world, job.data
    parameters = sum(parameter.numel() for parameter in job.model.parameters())
    lines = [
        f"{recipe.model}, {parameters / 1e6:.1f} M parameters, on {data.samples:,} samples of "
        f"{job.task.describe()} at {data.image_size_px} px, to epoch {recipe.epochs:g} in "
        f"batches of {recipe.global_batch_size}.",
        f"{world.world_size} rank(s) on {world.device.type}, {world.threads} thread(s) each, "
        f"{'float32' if job.dtype is None else 'bfloat16'}; files in {job.place.directory}.",
    ]
    lines += job.notes
    if not data.has_val:
        lines.append("There is no validation split: nothing will be evaluated.")
    if job.checkpoint:
        lines.append(f"Going on from {job.place.resumed} at epoch {job.epoch:.2f}.")
        lines += _changes(job.checkpoint.config, job.settings.plain())
        if job.progress.position >= job.end_position:
            lines.append("There is nothing left to do: raise --epochs to train on.")
    return "\n".join(lines)


def _changes(saved: dict[str, Any], current: dict[str, Any]) -> list[str]:
    return [
        f"Changed since it was saved: {name} {saved.get(name)} -> {value}."
        for name, value in current.items()
        if saved.get(name) != value and name not in UNREMARKABLE
    ]


def farewell(job: Job, signal_number: int) -> str:
    """Why the run ends early, and how to go on."""
    return (
        f"Stopped by {signal.Signals(signal_number).name} at epoch {job.epoch:.2f}, saved in "
        f"{job.place.checkpoint}. The same command with --out {job.place.directory} goes on "
        f"from there."
    )
