"""A training run, from its configs to its summary."""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from pipeline.loader import Loader
from trainer.checkpoints.checkpoint_file import snapshot
from trainer.checkpoints.retention import Saver
from trainer.config import Settings
from trainer.data import val_batches
from trainer.distributed.collectives import World
from trainer.distributed.ddp import average_buffers
from trainer.distributed.determinism import deterministic
from trainer.distributed.process_group import open_world
from trainer.evaluation.loop import evaluate
from trainer.loop import StepRecord, train_steps
from trainer.messages import farewell, greeting, nonfinite_loss
from trainer.meter import Interval, Meter, NonFiniteLossError
from trainer.profiler import TRACE_NAME, traced
from trainer.run.run_dir import write_config
from trainer.run.run_logger import RunLogger
from trainer.setup import TrainingRun, build_run
from trainer.stop_signals import StopSignal


def run(
    settings: Settings, *, customize: Callable[[TrainingRun], TrainingRun] = lambda job: job
) -> None:
    """Train to the end, or until SIGTERM, SIGINT or SIGUSR1: then save and exit with 128 + its
    number. `customize` may give the job another model and update, or other batches.

    Raises ``DataError`` and ``MisuseError``; what keeps a run from starting is raised in rank 0
    alone, the others leave silently.
    """
    with (
        StopSignal() as stop,
        _world(settings) as world,
        deterministic(settings.machine.deterministic),
    ):
        job = build_run(with_threads(settings, world), world)
        with world.fail_together():
            job = customize(job)
        with open_run_logger(job) as journal:
            journal.say(greeting(job))
            with _validation(job) as validation, _saver(job) as saver:
                _train(job, journal, stop, validation, saver)
            stopped_by = _stopped_by(stop, world)
            if stopped_by:
                journal.say(farewell(job, stopped_by))
                raise SystemExit(128 + stopped_by)
            if job.reached_target:
                journal.say(
                    f"Top-1 has reached --target-top1 {settings.run.target_top1:g} at epoch "
                    f"{job.epoch:.2f}."
                )
            journal.summary(job.progress)


def _world(settings: Settings) -> AbstractContextManager[World]:
    return open_world(settings.machine.device, timeout_seconds=settings.run.rank_timeout)


def with_threads(settings: Settings, world: World) -> Settings:
    """DALI has this rank's share of the cores unless something else was asked for."""
    threads = settings.pipeline.threads or world.threads
    pipeline = dataclasses.replace(settings.pipeline, threads=threads)
    return dataclasses.replace(settings, pipeline=pipeline)


def open_run_logger(job: TrainingRun) -> RunLogger:
    """Write config.json, and open what is written as the run goes."""
    if job.world.rank == 0:
        write_config(job.place.directory, {**job.settings.to_dict(), "resolved": job.resolved})
    return RunLogger(
        job.place,
        rank=job.world.rank,
        samples=job.data.samples,
        position=job.progress.position,
        end_position=job.end_position,
        tensorboard=job.settings.log.tensorboard,
    )


def _stopped_by(stop: StopSignal, world: World) -> int:
    """The signal that some rank has heard, 0 if none has."""
    return int(world.all_reduce_max([stop.number or 0])[0])


def _saver(job: TrainingRun) -> Saver:
    config = job.settings.run
    return Saver(
        job.place.directory,
        keep=config.keep_checkpoints,
        minutes=config.checkpoint_minutes,
        writes=job.world.rank == 0,
    )


@contextmanager
def _validation(job: TrainingRun) -> Iterator[Loader | None]:
    """One loader for all evaluations, so that what it keeps lasts; None without a split."""
    batches = val_batches(
        job.data,
        job.settings.pipeline,
        job.world,
        global_batch_size=job.settings.recipe.global_batch_size,
    )
    with batches or nullcontext():
        yield batches


def _train(
    job: TrainingRun, journal: RunLogger, stop: StopSignal, validation: Loader | None, saver: Saver
) -> None:
    """Step, log, evaluate and save until the end or a signal."""
    config, world, progress = job.settings.run, job.world, job.progress
    if _is_due(job, config.val_every) and progress.evaluated_position < progress.position:
        # The process before this one was stopped in this evaluation.
        evaluated = _evaluate(job, journal, stop, validation)
        _save(job, saver)
        if not evaluated:
            return
    if job.horizon.ended or job.reached_target:
        return
    meter = Meter(world)
    with training_batches(job) as batches:
        meter.start()
        for record in _watched(job, journal, training_steps(job, batches)):
            progress.position = record.position
            meter.add(record)
            stopped, saves, elapsed = world.all_reduce_max(
                [stop.number or 0, saver.is_due(), job.horizon.elapsed_seconds()]
            )
            job.horizon.move(record.position, elapsed)
            journal.step(record.position, job.end_position)
            evaluates = not stopped and _evaluates(job)
            pauses = stopped or saves or evaluates or _is_due(job, config.checkpoint_every)
            if pauses or meter.steps == job.settings.log.log_every:
                journal.interval(
                    _interval(job, meter), world.all_gather_objects(batches.bad_samples())
                )
            if pauses:
                evaluated = not evaluates or _evaluate(job, journal, stop, validation)
                _save(job, saver)
                if stopped or not evaluated or job.horizon.ended or job.reached_target:
                    return
                meter.start()


def _interval(job: TrainingRun, meter: Meter) -> Interval:
    try:
        return meter.stop()
    except NonFiniteLossError as error:
        raise nonfinite_loss(job, error.position) from error


def training_batches(job: TrainingRun) -> Loader:
    """From where the run stands to its end, or endless where that is a deadline."""
    return job.open_batches(
        job.data,
        job.settings.pipeline,
        job.world,
        global_batch_size=job.settings.recipe.global_batch_size,
        position=job.progress.position,
        end_position=None if job.horizon.is_timed else job.end_position,
    )


def training_steps(job: TrainingRun, batches: Loader) -> Iterator[StepRecord]:
    """A step of each batch."""
    return train_steps(
        batches,
        job.update,
        schedule=lambda position: job.schedule(position),
        global_batch_size=job.settings.recipe.global_batch_size,
        position=job.progress.position,
        seed=hash((job.settings.pipeline.seed, job.world.rank)),
        mix=job.mix,
    )


def _watched(
    job: TrainingRun, journal: RunLogger, steps: Iterator[StepRecord]
) -> Iterator[StepRecord]:
    """The steps, of which rank 0 traces a few if it was asked for."""
    if job.settings.log.profile and job.world.rank == 0:
        return traced(steps, job.place.directory / TRACE_NAME, journal.say)
    return steps


def _evaluates(job: TrainingRun) -> bool:
    """Is an evaluation due? One that would take more than what is left before a deadline gives way
    to the last one, after it."""
    leaves_time = job.horizon.ended or job.horizon.leaves(job.horizon.evaluation_seconds)
    return leaves_time and _is_due(job, job.settings.run.val_every)


def _is_due(job: TrainingRun, every_epochs: float) -> bool:
    """Did the last step cross a multiple of `every_epochs`, or end the run?"""
    position = job.progress.position
    if job.horizon.ended or not every_epochs:
        return job.horizon.ended
    period = every_epochs * job.data.samples
    return (position - job.settings.recipe.global_batch_size) // period < position // period


def _evaluate(
    job: TrainingRun, journal: RunLogger, stop: StopSignal, validation: Loader | None
) -> bool:
    """Evaluate where there is a validation split; False if a signal broke it off."""
    progress = job.progress
    if validation is None:
        progress.evaluated_position = progress.position
        return True
    (began,) = job.world.all_reduce_max([job.horizon.elapsed_seconds()])
    model = job.averaged or job.model
    average_buffers(model, job.world)
    evaluation = evaluate(
        validation,
        model,
        job.world,
        job.task,
        dtype=job.dtype,
        flips=job.settings.run.tta == "flip",
        stopped=lambda: stop.number is not None,
    )
    if evaluation is None:
        return False
    (elapsed,) = job.world.all_reduce_max([job.horizon.elapsed_seconds()])
    job.horizon.evaluation_seconds = elapsed - began
    job.horizon.move(progress.position, elapsed)
    journal.evaluation(progress.position, evaluation)
    progress.evaluated_position = progress.position
    by, metrics = job.task.best_by, dict(evaluation.metrics)
    if not progress.best or metrics[by] > progress.best[by]:
        progress.best, progress.best_position = metrics, progress.position
    return True


def _save(job: TrainingRun, saver: Saver) -> None:
    job.progress.spent_seconds = job.horizon.spent_seconds
    average_buffers(job.model, job.world)
    if job.averaged:
        average_buffers(job.averaged, job.world)
    saver.save(
        lambda: snapshot(
            network=job.model.network,
            scaler=job.update.scaler.state_dict(),
            ema=job.averaged and job.averaged.network,
            optimizer=job.optimizer,
            progress=job.progress,
            identity=job.identity,
            config=job.settings.to_dict(),
        ),
        best=job.progress.best_position == job.progress.position,
    )
