"""Where a run says how it goes: metrics.jsonl and the display, on rank 0; nothing elsewhere."""

import dataclasses
from collections.abc import Sequence
from typing import Self

from trainer.display import Display, show_summary
from trainer.loop import Evaluation
from trainer.metrics import Interval
from trainer.runs import BAD_SAMPLES_NAME, MetricsFile, Place, write_bad_samples


class Journal:
    """Args: a run over `samples` a pass goes from `position` to `end_position`."""

    def __init__(
        self, place: Place, *, rank: int, samples: int, position: int, end_position: int
    ) -> None:
        self._place, self._samples, self._first_position = place, samples, position
        self._intervals: list[Interval] = []
        self._bad_count = 0
        self._shows = rank == 0
        self._file = MetricsFile(place.directory, position=position) if self._shows else None
        self._display = Display(
            shows=self._shows, samples=samples, position=position, end_position=end_position
        )

    def __enter__(self) -> Self:
        self._display.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._display.stop()
        if self._file:
            self._file.close()

    def say(self, text: str) -> None:
        self._display.say(text)

    def step(self, position: int) -> None:
        self._display.step(position)

    def interval(self, interval: Interval, bad: Sequence[tuple[str, str]]) -> None:
        """`bad`: (sample, reason) of all bad training samples that this process met."""
        self._intervals.append(interval)
        self._display.interval(interval)
        found = dict(bad)
        if self._file:
            self._file.write(
                "train",
                epoch=interval.position / self._samples,
                **interval.as_record(),
                bad_samples=len(found),
            )
            if len(found) > self._bad_count:
                write_bad_samples(self._place.directory, found)
                self.say(f"Bad samples so far: {len(found)}, listed in {BAD_SAMPLES_NAME}.")
        self._bad_count = len(found)

    def evaluation(self, position: int, evaluation: Evaluation) -> None:
        self._display.evaluation(position, evaluation)
        if self._file:
            self._file.write(
                "evaluation",
                position=position,
                epoch=position / self._samples,
                **dataclasses.asdict(evaluation),
                top1=evaluation.top1,
                top5=evaluation.top5,
            )

    def summary(self, best_top1: float | None, best_top5: float | None) -> None:
        if self._shows:
            show_summary(
                self._intervals,
                best_top1=best_top1,
                best_top5=best_top5,
                first_epoch_end=self._first_position + self._samples,
                directory=self._place.directory,
            )
