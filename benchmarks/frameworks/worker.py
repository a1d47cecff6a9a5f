"""Training steps of one framework in a process of its own: ``python -m benchmarks.frameworks.worker
SETTINGS``.

Each line on stdin, ``{"seconds": 2}``, is answered on stdout by one with what steps for so long
cost: the fields of ``measure.Lap``, the seconds that they waited for batches, and the loss of the
process's first step.
"""

import json
import os
import sys
from collections.abc import Iterator
from typing import Any

from benchmarks.measuring.laps import measure_lap
from trainer.config import Settings
from trainer.distributed.process_group import open_world
from trainer.setup import TrainingRun, build_run
from trainer.train import training_batches, training_steps, with_threads


class Steps:
    """The sizes of the steps' batches, with what else is told of the steps."""

    def __init__(self, job: TrainingRun) -> None:
        self.data_seconds, self.first_loss = 0.0, 0.0
        self.images = self._run(job)

    def _run(self, job: TrainingRun) -> Iterator[int]:
        with training_batches(job) as batches:
            for record in training_steps(job, batches):
                self.data_seconds += record.data_seconds
                self.first_loss = self.first_loss or record.loss.item()
                yield record.images

    def lap(self, seconds: float) -> dict[str, float]:
        before = self.data_seconds
        found = measure_lap(self.images, seconds, synchronize=lambda: None)
        return {
            **vars(found),
            "data_seconds": self.data_seconds - before,
            "first_loss": self.first_loss,
        }


def main(text: str) -> None:
    values: dict[str, Any] = json.loads(text)
    # What a library prints is no answer.
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    plain = {name: tuple(v) if isinstance(v, list) else v for name, v in values["settings"].items()}
    settings = Settings.from_options(**plain)
    with open_world(settings.machine.device) as world:
        job = build_run(with_threads(settings, world), world)
        if values["backend"] is not None:
            from benchmarks.keras.job import keras_job

            job = keras_job(job, backend=values["backend"], feed=values["feed"])
        steps = Steps(job)
        for line in sys.stdin:
            print(json.dumps(steps.lap(**json.loads(line))), file=answer, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
