"""TensorBoard's event files in the run's directory."""

import threading

from trainer.files import resume_advice, write_error
from trainer.run.metrics_reader import Record
from trainer.run.trackers.sink import TrackedRun, numbers, require_no_link

TENSORBOARD_NAME = "tensorboard"


class TensorBoard:
    """Writes the numbers of records as TensorBoard events.

    Events beyond the run's position are hidden, like the records that ``MetricsFile`` drops.
    """

    def __init__(self, run: TrackedRun) -> None:
        # Optional dependency that takes a second to import.
        from torch.utils.tensorboard import SummaryWriter

        _silence_writer_threads()
        self._folder, self._advice = run.directory / TENSORBOARD_NAME, resume_advice(run.directory)
        require_no_link(self._folder)
        try:
            self._writer = SummaryWriter(self._folder, purge_step=run.position + 1)
        except OSError as error:
            raise write_error(self._folder, error, self._advice) from error

    def write(self, record: Record) -> None:
        """Add each number of `record` as kind/name, at its position and time. Raises ``DataError``
        if it cannot be written."""
        step, time = record["position"], record["time"]
        try:
            for name, value in numbers(record).items():
                self._writer.add_scalar(name, value, global_step=step, walltime=time)
            self._writer.flush()
        except OSError as error:
            raise write_error(self._folder, error, self._advice) from error

    def close(self) -> None:
        self._writer.close()


def _silence_writer_threads() -> None:
    """Keep tensorboard's thread from printing the traceback of an error of the disk: ``write``
    raises it."""
    before = threading.excepthook

    def report(failure: threading.ExceptHookArgs) -> None:
        is_writer = type(failure.thread).__module__.startswith("tensorboard")
        if not (is_writer and issubclass(failure.exc_type, OSError)):
            before(failure)

    threading.excepthook = report
