"""Console output of a run: how far it is, the evaluations, a final table."""

import time
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter

from pipeline.console import open_console
from pipeline.duration_text import clock
from pipeline.progress import ProgressLine, fitted
from pipeline.table import Table, print_table
from trainer.run.metrics_reader import Record
from trainer.tasks.metric_names import main_rows
from trainer.training_run import TrainingRun

# What ended a run before its planned end -> the option.
ENDS = {"patience": "--patience", "target_top1": "--target-top1"}


class Display:
    """Prints the records of `run`: on a terminal the last one as a line that is redrawn, elsewhere
    a line now and then."""

    def __init__(self, run: TrainingRun) -> None:
        self._run = run
        self._console = open_console(soft_wrap=True)
        self._line = ProgressLine(self._console, stays=True)
        self._last: Record | None = None
        self._start = time.monotonic(), run.progress.position
        self.update_progress()

    def print(self, text: str) -> None:
        """Print a line, above the progress line."""
        self._console.print(text)

    def update_progress(self, *, soon: bool = False) -> None:
        """Move the progress line to the run's position."""
        position, end = self._run.progress.position, self._run.time_budget.end_position
        self._line.update(min(1.0, position / max(end, 1)), self._parts, soon=soon)

    def _parts(self) -> list[str]:
        position, (start, origin) = self._run.progress.position, self._start
        return progress_parts(
            self._last,
            epoch=self._run.epoch,
            epochs=self._run.epochs,
            remaining=self._run.time_budget.end_position - position,
            images_per_second=(position - origin) / max(time.monotonic() - start, 1e-3),
        )

    def write(self, record: Record) -> None:
        """Show a record of metrics.jsonl."""
        if record["kind"] == "summary":
            self._line.close()
            rows = [*summary_rows(record), ("directory", str(self._run.run_dir.path))]
            print_table(Table(headers=("", ""), rows=rows, texts=(0, 1)), self._console)
        elif record["kind"] == "evaluation":
            epoch = min(record["epoch"], self._run.epochs)
            parts = evaluation_parts(record | {"epoch": epoch}, self._run.task.primary_metric)
            self.print(fitted(parts, self._console.width))
        else:
            self._last = record
            self.update_progress(soon=True)

    def close(self) -> None:
        self._line.close()


def progress_parts(
    record: Record | None, *, epoch: float, epochs: float, remaining: int, images_per_second: float
) -> list[str]:
    """Texts about a run of `epochs` at `epoch`, in the order of importance, from its last training
    record; the remaining time excludes evaluations.

    Args:
        remaining: positions to the end.
        images_per_second: since the start, for a run without a record so far; 0 if unknown.
    """
    rate = record["images_per_second"] if record else images_per_second
    left = [f"{clock(max(0, remaining) / rate)} left"] if rate else []
    parts = [f"epoch {epoch:.2f}/{epochs:.2f}", *left]
    if record is None:
        return parts
    return [
        *parts,
        f"loss {record['loss']:.4f}",
        f"{rate:,.1f} images/s",
        f"{record['data_share']:.1%} waiting for data",
        f"lr {record['learning_rate']:.5f}",
    ]


def evaluation_parts(record: Record, metric: str | None) -> list[str]:
    """Texts about an evaluation, in the order of importance; `metric` is that of the task."""
    rows = map(" ".join, main_rows(record, metric))
    return [f"epoch {record['epoch']:.2f}  validation:", *rows, f"{record['samples']:,} samples"]


def summary_rows(record: Record) -> Iterator[tuple[str, str]]:
    """(name, value) of each row of the final table, from the summary record."""
    for name, key in (
        ("warm-up", "warmup"),
        ("first epoch, cold files", "first_epoch"),
        ("later epochs", "later_epochs"),
        ("all epochs", "total"),
    ):
        if part := record[key]:
            rate = f"{part['images_per_second']:,.1f} images/s"
            yield name, f"{rate}, {part['data_share']:.1%} waiting for data"
    for (seconds, epoch), reached in groupby(
        record["milestones"], itemgetter("elapsed_seconds", "epoch")
    ):
        shares = ", ".join(f"{milestone['top1']:.0%}" for milestone in reached)
        yield f"time to {shares} top-1", f"{clock(seconds)}, epoch {epoch:.2f}"
    best_rows = main_rows(record, record.get("monitor"), prefix="best_")
    for number, (name, value) in enumerate(best_rows):
        yield f"{name} at best {best_rows[0][0]}" if number else f"best {name}", value
    if option := ENDS.get(record.get("ended_by", "")):
        yield "ended by", f"{option} at epoch {record['epoch']:.2f}"
    processes = f" in {record['process'] + 1} processes" if record["process"] else ""
    yield "time, including evaluations", clock(record["elapsed_seconds"]) + processes
    yield "peak memory per rank", f"{record['memory_bytes'] / 2**20:,.0f} MiB"
    yield "bad samples", f"{record['bad_samples']:,}"
