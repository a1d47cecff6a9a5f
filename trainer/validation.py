"""The evaluations of a training, between its steps."""

from contextlib import ExitStack
from typing import Self

from pipeline.console import open_console
from trainer.data import val_batches
from trainer.distributed.ddp import average_buffers
from trainer.evaluation.class_scores import print_scores, write_scores
from trainer.evaluation.loop import evaluate
from trainer.out_of_memory import EVALUATION
from trainer.run.run_logger import RunLogger
from trainer.stopping import StopSignal
from trainer.task_options import monitored
from trainer.tasks.metric_names import is_gain
from trainer.tasks.scores import Evaluation
from trainer.training_run import TrainingRun


class Validation:
    """Evaluates a run on its validation split, if it has one. A context that closes the loader,
    which keeps its cache from one evaluation to the next."""

    def __init__(self, run: TrainingRun, logger: RunLogger, stop: StopSignal) -> None:
        self._run, self._logger, self._stop = run, logger, stop
        size = run.settings.recipe.global_batch_size
        self._batches = val_batches(
            run.data, run.settings.pipeline, run.world, global_batch_size=size
        )
        self._best: Evaluation | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        if self._batches is not None:
            self._stack.enter_context(self._batches)
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def evaluate(self) -> bool:
        """Evaluate the model, log the metrics and keep the best scores; False if a signal
        interrupted it."""
        run, progress, budget = self._run, self._run.progress, self._run.time_budget
        if self._batches is None:
            progress.evaluated_position = progress.position
            return True
        (started,) = run.world.all_reduce_max([budget.elapsed_seconds()])
        model = run.ema_model or run.model
        average_buffers(model, run.world)
        with run.explained(EVALUATION):
            evaluation = evaluate(
                self._batches,
                model,
                run.world,
                run.task,
                dtype=run.dtype,
                flips=run.settings.run.tta == "flip",
                stopped=self._is_stopped,
            )
        if evaluation is None:
            return False
        (elapsed,) = run.world.all_reduce_max([budget.elapsed_seconds()])
        budget.evaluation_seconds = elapsed - started
        budget.advance(progress.position, elapsed)
        self._logger.write("evaluation", **evaluation.as_record())
        self._keep(evaluation)
        return True

    def print_best(self) -> None:
        """Print the scores of the best evaluation, if this process made it."""
        position = self._run.progress.best_position
        if self._best is not None and position is not None:
            epoch = min(position / self._run.data.samples, self._run.epochs)
            title = f"The best evaluation, at epoch {epoch:.2f}: {self._best.samples:,} samples"
            print_scores(open_console(soft_wrap=True), self._best, self._run.task, title=title)

    def _keep(self, evaluation: Evaluation) -> None:
        run, name = self._run, self._run.task.primary_metric
        metrics = {"loss": evaluation.loss, **evaluation.metrics}
        gains = is_gain(name, monitored(metrics, name), run.progress.best.get(name))
        run.progress.add_evaluation(metrics, is_gain=gains)
        if gains:
            self._best = evaluation
            if run.world.rank == 0:
                write_scores(run.run_dir.path, evaluation, run.task)

    def _is_stopped(self) -> bool:
        """Whether a signal came; called before each batch, it shows that the run goes on."""
        self._logger.update_progress()
        return self._stop.number is not None
