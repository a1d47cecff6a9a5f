"""Training steps of one framework in a process of its own: ``python -m benchmarks.frameworks.worker
REQUEST``.

It answers each line on stdin, ``{"seconds": 2}``, by a line on stdout with the cost of steps of
that duration: the fields of ``laps.Lap``, the seconds that they waited for batches, and the loss of
the first step of the process.
"""

import json
import os
import sys
from collections.abc import Iterator
from typing import Any

from benchmarks.measuring.laps import measure_lap
from trainer.config import Settings
from trainer.distributed.process_group import open_world
from trainer.setup import build_run
from trainer.train import training_batches, training_steps, with_threads
from trainer.training_run import TrainingRun


class Steps:
    """The training steps of a run, with their waiting time and the first loss."""

    def __init__(self, run: TrainingRun) -> None:
        self.data_seconds, self.first_loss = 0.0, 0.0
        self.batch_sizes = self._train(run)

    def _train(self, run: TrainingRun) -> Iterator[int]:
        with training_batches(run) as batches:
            for record in training_steps(run, batches):
                self.data_seconds += record.data_seconds
                self.first_loss = self.first_loss or record.loss.item()
                yield record.images

    def lap(self, seconds: float) -> dict[str, float]:
        before = self.data_seconds
        measured = measure_lap(self.batch_sizes, seconds, synchronize=lambda: None)
        data_seconds = self.data_seconds - before
        return {**vars(measured), "data_seconds": data_seconds, "first_loss": self.first_loss}


def main(text: str) -> None:
    request: dict[str, Any] = json.loads(text)
    # Output of libraries goes to stderr.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    plain = request["settings"].items()
    settings = Settings.from_options(
        **{k: tuple(v) if isinstance(v, list) else v for k, v in plain}
    )
    with open_world(settings.machine.device) as world:
        run = build_run(with_threads(settings, world), world)
        if request["backend"] is not None:
            from benchmarks.keras.run import use_keras

            run = use_keras(run, backend=request["backend"], feed=request["feed"])
        steps = Steps(run)
        for line in sys.stdin:
            print(json.dumps(steps.lap(**json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
