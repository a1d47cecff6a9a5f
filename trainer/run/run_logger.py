"""Where a run says how it goes: metrics.jsonl and the display, on rank 0; nothing elsewhere."""

from collections.abc import Sequence
from typing import Any, Self

from trainer.checkpoints.checkpoint_file import Progress
from trainer.meter import Interval
from trainer.run.display import Display
from trainer.run.metrics_writer import MetricsFile
from trainer.run.run_dir import BAD_SAMPLES_NAME, RunDir, write_bad_samples
from trainer.run.summary import summarize
from trainer.run.tensorboard import TensorBoard
from trainer.tasks.scores import Evaluation


class RunLogger:
    """Args: a run over `samples` a pass goes from `position` to `end_position`."""

    def __init__(
        self,
        place: RunDir,
        *,
        rank: int,
        samples: int,
        position: int,
        end_position: int,
        tensorboard: bool,
    ) -> None:
        self._place, self._samples = place, samples
        self._bad_count = 0
        writes = rank == 0
        self._file = (
            MetricsFile(place.directory, samples=samples, position=position) if writes else None
        )
        self._tensorboard = (
            TensorBoard(place.directory, position=position) if writes and tensorboard else None
        )
        self._display = Display(
            shows=writes, samples=samples, position=position, end_position=end_position
        )

    def __enter__(self) -> Self:
        self._display.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._display.stop()
        for file in (self._file, self._tensorboard):
            if file:
                file.close()

    def _write(self, kind: str, *, position: int, **values: Any) -> None:
        if self._file:
            record = self._file.write(kind, position=position, **values)
            if self._tensorboard:
                self._tensorboard.write(record)

    def say(self, text: str) -> None:
        self._display.say(text)

    def step(self, position: int, end_position: int) -> None:
        self._display.step(position, end_position)

    def interval(self, interval: Interval, bad: Sequence[tuple[str, str]]) -> None:
        """`bad`: (sample, reason) of all bad training samples that this process met."""
        self._display.interval(interval)
        found = dict(bad)
        self._write("train", **interval.as_record(), bad_samples=len(found))
        if self._file and len(found) > self._bad_count:
            write_bad_samples(self._place.directory, found)
            self.say(f"Bad samples so far: {len(found)}, listed in {BAD_SAMPLES_NAME}.")
        self._bad_count = len(found)

    def evaluation(self, position: int, evaluation: Evaluation) -> None:
        self._display.evaluation(position, evaluation)
        self._write("evaluation", position=position, **evaluation.as_record())

    def summary(self, progress: Progress) -> None:
        """The table and the record that end a run, of all processes it took."""
        if self._file and self._file.records:
            summary = summarize(self._file.records, samples=self._samples)
            best = {f"best_{name}": value for name, value in progress.best.items()}
            self._write("summary", position=progress.position, **summary.as_record(), **best)
            self._display.summary(summary, progress, self._place.directory)
