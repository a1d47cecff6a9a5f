"""A training run, from its settings to its summary."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator

from pipeline.batch import Batch
from pipeline.errors import DataError
from pipeline.loader import Loader
from pipeline.on_device import thread_start
from trainer.checkpoints.checkpoint_file import snapshot
from trainer.checkpoints.retention import CheckpointManager
from trainer.config import Settings
from trainer.distributed.agreement import Agreement
from trainer.distributed.collectives import World
from trainer.distributed.ddp import average_buffers
from trainer.distributed.determinism import deterministic
from trainer.distributed.process_group import open_world
from trainer.files import TRACE_NAME
from trainer.loop import StepRecord, train_steps
from trainer.messages import end_message, nonfinite_loss_error, startup_message, stop_message
from trainer.meter import Meter, NonFiniteLossError
from trainer.out_of_memory import STEP
from trainer.profiler import trace_steps
from trainer.resolve import run_identity
from trainer.run.run_logger import RunLogger
from trainer.run.train_batch import FirstBatch
from trainer.setup import build_run
from trainer.stopping import InputHangsError, StopSignal
from trainer.training_run import TrainingRun
from trainer.validation import Validation


def run(
    settings: Settings, *, customize: Callable[[TrainingRun], TrainingRun] = lambda run: run
) -> None:
    """Train to the end, or until SIGTERM, SIGINT, SIGUSR1 or SIGHUP: then save and exit with 128 +
    the signal's number.

    Args:
        customize: may replace the model, the train step or the batches of the run.

    Raises ``DataError`` and ``MisuseError``. An error before the first step is raised on rank 0
    only, and the other ranks exit silently.
    """
    with (
        StopSignal() as stop,
        open_world(settings.machine.device, timeout_seconds=settings.run.rank_timeout) as world,
        deterministic(settings.machine.deterministic),
    ):
        training = build_run(with_threads(settings, world), world)
        with world.fail_together():
            training = customize(training)
        with RunLogger(training) as logger:
            logger.print(startup_message(training))
            trainer = Trainer(training, logger, stop)
            trainer.train()
            if stopped_by := stop.received_by_any(world):
                logger.print(stop_message(training, stopped_by))
                raise SystemExit(128 + stopped_by)
            if message := end_message(training):
                logger.print(message)
            logger.write_summary()
            if world.rank == 0:
                trainer.validation.print_best()


def with_threads(settings: Settings, world: World) -> Settings:
    """Give DALI this rank's share of the cores unless --threads says otherwise."""
    threads = settings.pipeline.threads or world.threads
    pipeline = dataclasses.replace(settings.pipeline, threads=threads)
    return dataclasses.replace(settings, pipeline=pipeline)


def training_batches(run: TrainingRun) -> Loader:
    """The loader from the run's position to its end; endless if the end is a deadline."""
    end_position = None if run.time_budget.is_timed else run.time_budget.end_position
    return run.batches(run.progress.position, end_position)


def training_steps(
    run: TrainingRun, batches: Iterable[Batch], *, schedule: Callable[[float], float] | None = None
) -> Iterator[StepRecord]:
    """Make a step with each batch; `schedule`, position -> learning rate, is by default the
    run's."""
    return train_steps(
        batches,
        run.train_step,
        schedule=schedule or (lambda position: run.schedule(position)),
        global_batch_size=run.settings.recipe.global_batch_size,
        position=run.progress.position,
        seed=hash((run.settings.pipeline.seed, run.world.rank)),
        mix=run.mix,
    )


class Trainer:
    """Trains, logs, evaluates and saves a run until its end or a signal."""

    def __init__(self, run: TrainingRun, logger: RunLogger, stop: StopSignal) -> None:
        self.run, self.logger, self.stop = run, logger, stop
        settings = run.settings
        self.agreement, self.first_batch = Agreement(run.world), FirstBatch(run)
        self.validation = Validation(run, logger, stop)
        self.checkpoints = CheckpointManager(
            run.run_dir.path,
            keep=settings.run.keep_checkpoints,
            minutes=settings.run.checkpoint_minutes,
            writes=run.world.rank == 0,
            at_start=thread_start(run.world.device),
        )

    def train(self) -> None:
        """Train from the run's position, and finish writing checkpoints."""
        self.stop.trains = True
        with self.validation, self.checkpoints:
            try:
                if self._complete_evaluation() and not self.run.is_over:
                    self._make_steps()
            except InputHangsError:
                self._require_one_rank()

    def _make_steps(self) -> None:
        run, meter = self.run, Meter(self.run.world)
        # The loader is left last: closing it may wait for the GPU.
        with training_batches(run) as batches, run.world.leaving_on_failure(self._close_files):
            meter.start()
            try:
                with run.explained(STEP):
                    self._step_by_step(batches, meter)
            except InputHangsError:
                self._require_one_rank()
                if meter.steps:
                    self._log_interval(meter, batches)
                self._save()

    def _step_by_step(self, batches: Loader, meter: Meter) -> None:
        run = self.run
        for record in self._steps(batches):
            meter.add(record)
            if self.first_batch.draw():
                self.logger.print(f"The first batch: {self.first_batch.path}")
            logs = meter.steps == run.settings.log.log_every
            is_stopped, must_save = self._advance(record, must_agree=logs)
            self.logger.report_micro_batches()
            self.logger.update_progress()
            must_evaluate = not is_stopped and self._must_evaluate()
            pauses = is_stopped or must_save or must_evaluate
            if pauses or logs:
                self._log_interval(meter, batches)
            if pauses:
                is_complete = not must_evaluate or self.validation.evaluate()
                self._save()
                if is_stopped or not is_complete or run.is_over:
                    return
                self.agreement.pause()
                meter.start()

    def _require_one_rank(self) -> None:
        """Several ranks can't save while some wait for batches and others for these ranks."""
        if self.run.world.world_size > 1:
            raise DataError(
                f"Stopped while rank {self.run.world.rank} waited for its samples. "
                f"{self.run.run_dir.checkpoint} is the last checkpoint: repeat the command with "
                f"--out {self.run.run_dir.path} to resume."
            )

    def _complete_evaluation(self) -> bool:
        """Make the evaluation in which a signal stopped the previous process, if it did so; False
        if a signal interrupts it again."""
        progress = self.run.progress
        if progress.evaluated_position >= progress.position:
            return True
        if not self._is_due(self.run.settings.run.val_every):
            return True
        is_complete = self.validation.evaluate()
        self._save()
        return is_complete

    def _advance(self, record: StepRecord, *, must_agree: bool) -> tuple[bool, bool]:
        """Record a step; whether any rank received a signal, and whether a checkpoint is due, both
        as far as the ranks exchange it after this step.

        They do so before they wait for the device (`must_agree`) or pause: then all of them have
        enqueued the same steps, and none has failed.
        """
        run, budget, settings = self.run, self.run.time_budget, self.run.settings.run
        run.progress.position = record.position
        if not budget.is_timed:
            budget.advance(record.position, 0.0)
        self.stop.add_step()
        may_pause = self._is_due(settings.checkpoint_every) or self._is_due(settings.val_every)
        if not (self.agreement.add_step() or must_agree or may_pause):
            return False, False
        stopped, must_save, elapsed = self.agreement.exchange(
            [self.stop.number or 0, self.checkpoints.is_due()], budget.elapsed_seconds()
        )
        budget.advance(record.position, elapsed)
        self.agreement.plan(budget.remaining_seconds)
        return bool(stopped), bool(must_save) or self._is_due(settings.checkpoint_every)

    def _close_files(self) -> None:
        """Finish the last checkpoint and the log of a run that failed."""
        self.checkpoints.finish()
        self.logger.close()

    def _steps(self, batches: Loader) -> Iterator[StepRecord]:
        """The steps; rank 0 traces a few of them with ``--profile``."""
        steps = training_steps(self.run, self.first_batch.watch(batches))
        if self.run.settings.log.profile and self.run.world.rank == 0:
            return trace_steps(steps, self.run.run_dir.path / TRACE_NAME, self.logger.print)
        return steps

    def _log_interval(self, meter: Meter, batches: Loader) -> None:
        try:
            interval = meter.stop()
        except NonFiniteLossError as error:
            raise nonfinite_loss_error(self.run, error.position) from error
        bad_samples = self.run.world.all_gather_objects(batches.bad_samples())
        self.logger.write_interval(interval, dict(bad_samples))

    def _is_due(self, every_epochs: float) -> bool:
        """Whether the last step crossed a multiple of `every_epochs`, or ended the run."""
        position = self.run.progress.position
        if self.run.time_budget.ended or not every_epochs:
            return self.run.time_budget.ended
        period = every_epochs * self.run.data.samples
        step = self.run.settings.recipe.global_batch_size
        return (position - step) // period < position // period

    def _must_evaluate(self) -> bool:
        """Whether an evaluation is due and, before a deadline, expected to end before it; the last
        one follows the deadline."""
        budget = self.run.time_budget
        has_time = budget.ended or budget.has_room_for(budget.evaluation_seconds)
        return has_time and self._is_due(self.run.settings.run.val_every)

    def _save(self) -> None:
        run, progress = self.run, self.run.progress
        progress.spent_seconds = run.time_budget.spent_seconds
        for model in (run.model, run.ema_model):
            if model:
                average_buffers(model, run.world)
        self.checkpoints.save(
            lambda: snapshot(
                network=run.model.network,
                scaler=run.train_step.scaler.state_dict(),
                ema=run.ema_model and run.ema_model.network,
                optimizer=run.optimizer,
                progress=progress,
                identity=run_identity(run.settings, run.data, run.model_source),
                config={**run.settings.to_dict(), "resolved": run.resolved},
            ),
            best=progress.best_position == progress.position,
        )
