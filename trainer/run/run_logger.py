"""Logging of a run on rank 0: each record goes to metrics.jsonl, the display and trackers."""

from collections.abc import Mapping
from typing import Any, Self

from trainer.files import write_error
from trainer.messages import ended_by, micro_batches_message
from trainer.meter import Interval
from trainer.model.sources.own_file import OwnModel
from trainer.run.display import Display
from trainer.run.metrics_writer import MetricsFile
from trainer.run.run_dir import BAD_SAMPLES_NAME, write_config, write_model_file, write_rows
from trainer.run.summary import summarize
from trainer.run.trackers.open_trackers import open_trackers
from trainer.run.trackers.sink import Sink, TrackedRun
from trainer.training_run import TrainingRun


class RunLogger:
    """Writes config.json, and records to a list of sinks; only rank 0 has sinks."""

    def __init__(self, run: TrainingRun) -> None:
        self._run = run
        self._bad_count, self._micro_batches = 0, run.train_step.micro_batch_count
        self._sinks: list[Sink] = []
        if run.world.rank > 0:
            return
        directory, position = run.run_dir.path, run.progress.position
        config = {**run.settings.to_dict(), "resolved": run.resolved}
        write_config(directory, config)
        if isinstance(run.model_source, OwnModel):
            write_model_file(directory, run.model_source.code)
        self._metrics = MetricsFile(directory, samples=run.data.samples, position=position)
        self._display = Display(run)
        tracked = TrackedRun(
            directory=directory,
            config=config,
            position=position,
            records=tuple(self._metrics.records),
            say=self._display.print,
        )
        trackers = open_trackers(run.settings.log, tracked)
        self._sinks = [self._metrics, self._display, *trackers]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        failures = self.close()
        # After an error the same disk is full for each sink.
        if failures and kind is None:
            raise write_error(self._run.run_dir.path, failures[0])

    def close(self) -> list[OSError]:
        """Close all sinks; their errors."""
        failures: list[OSError] = []
        for sink in self._sinks:
            try:
                sink.close()
            except OSError as failure:
                failures.append(failure)
        return failures

    def print(self, text: str) -> None:
        """Print a line on the console."""
        if self._sinks:
            self._display.print(text)

    def update_progress(self) -> None:
        """Move the progress bar to the run's position."""
        if self._sinks:
            self._display.update_progress()

    def write(self, kind: str, **values: Any) -> None:
        """Write a record of `values` at the run's position to all sinks."""
        if self._sinks:
            record = self._metrics.new_record(kind, position=self._run.progress.position) | values
            for sink in self._sinks:
                sink.write(record)

    def write_interval(self, interval: Interval, bad_samples: Mapping[str, str]) -> None:
        """Write a training record; `bad_samples` maps each bad sample so far to the reason."""
        count = len(bad_samples)
        micro_batches = self._run.train_step.micro_batch_count
        values = {"bad_samples": count, "accumulate_steps": micro_batches}
        self.write("train", **interval.as_record(), **values)
        if self._sinks and count > self._bad_count:
            rows = (("sample", "reason"), *sorted(bad_samples.items()))
            write_rows(self._run.run_dir.path / BAD_SAMPLES_NAME, rows)
            self.print(f"Bad samples so far: {count}, listed in {BAD_SAMPLES_NAME}.")
        self._bad_count = count

    def report_micro_batches(self) -> None:
        """Print and keep the size of micro-batches if the last step has found it."""
        found = self._run.train_step.micro_batches
        if found is not None and found.count != self._micro_batches:
            self._micro_batches = found.count
            self._run.progress.micro_batch_size = found.size
            self.print(micro_batches_message(self._run, found))

    def write_summary(self) -> None:
        """Write the final record, over all processes of the run."""
        if self._sinks and self._metrics.records:
            summary = summarize(self._metrics.records, samples=self._run.data.samples)
            ending = {"ended_by": ended_by(self._run), "monitor": self._run.task.primary_metric}
            best = {f"best_{name}": value for name, value in self._run.progress.best.items()}
            if (position := self._run.progress.best_position) is not None:
                best["best_epoch"] = position / self._run.data.samples
            self.write("summary", **summary.as_record(), **ending, **best)
