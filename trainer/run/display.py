"""Console output of a run: a progress line on a terminal, plain lines elsewhere, a final table."""

from collections.abc import Iterator

from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from pipeline.console import open_console
from trainer.run.duration_text import clock
from trainer.run.metrics_reader import Record
from trainer.setup import TrainingRun
from trainer.tasks.metric_names import main_rows

# What ended a run before its planned end -> the option.
ENDS = {"patience": "--patience", "target_top1": "--target-top1"}


class Display:
    """Prints the records of `run`."""

    def __init__(self, run: TrainingRun) -> None:
        self._run = run
        self._console = open_console(soft_wrap=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            console=self._console,
            refresh_per_second=2,
            disable=not self._console.is_terminal,
        )
        self._bar = self._progress.add_task("starting")
        self.update_progress()
        self._progress.start()

    def print(self, text: str) -> None:
        """Print a line, above the progress line."""
        self._console.print(text)

    def update_progress(self) -> None:
        """Move the progress bar to the run's position."""
        position, end = self._run.progress.position, self._run.time_budget.end_position
        self._progress.update(self._bar, completed=position, total=end)

    def write(self, record: Record) -> None:
        """Show a record of metrics.jsonl."""
        if record["kind"] == "summary":
            self._print_table(record)
        elif record["kind"] == "evaluation":
            rows = main_rows(record, self._run.task.primary_metric)
            epoch = min(record["epoch"], self._run.epochs)
            self.print(
                f"epoch {epoch:.2f}  validation on {record['samples']:,} samples:  "
                f"{'  '.join(map(' '.join, rows))}"
            )
        else:
            epochs, end_position = self._run.epochs, self._run.time_budget.end_position
            text = progress_line(record, epochs=epochs, end_position=end_position)
            if self._progress.disable:
                self.print(text)
            else:
                self._progress.update(self._bar, description=text)

    def _print_table(self, record: Record) -> None:
        table = Table(show_header=False)
        table.add_column()
        table.add_column(justify="right", overflow="fold")
        for row in (*summary_rows(record), ("directory", str(self._run.run_dir.path))):
            table.add_row(*row)
        self._progress.stop()
        self._console.print(table, soft_wrap=False)

    def close(self) -> None:
        self._progress.stop()


def progress_line(record: Record, *, epochs: float, end_position: int) -> str:
    """A training record of a run of `epochs` as one line; the remaining time excludes evaluations.
    The last step, which may go on into the next epoch, ends at `epochs`."""
    remaining_seconds = (end_position - record["position"]) / record["images_per_second"]
    return (
        f"epoch {min(record['epoch'], epochs):.2f}/{epochs:.2f}  "
        f"loss {record['loss']:.4f}  lr {record['learning_rate']:.5f}  "
        f"{record['images_per_second']:,.1f} images/s  "
        f"{record['data_share']:.1%} waiting for data  {clock(remaining_seconds)} left"
    )


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
    for milestone in record["milestones"]:
        time_and_epoch = f"{clock(milestone['elapsed_seconds'])}, epoch {milestone['epoch']:.2f}"
        yield f"time to {milestone['top1']:.0%} top-1", time_and_epoch
    best_rows = main_rows(record, record.get("monitor"), prefix="best_")
    for number, (name, value) in enumerate(best_rows):
        yield f"{name} at best {best_rows[0][0]}" if number else f"best {name}", value
    if option := ENDS.get(record.get("ended_by", "")):
        yield "ended by", f"{option} at epoch {record['epoch']:.2f}"
    processes = f" in {record['process'] + 1} processes" if record["process"] else ""
    yield "time, including evaluations", clock(record["elapsed_seconds"]) + processes
    yield "peak memory per rank", f"{record['memory_bytes'] / 2**20:,.0f} MiB"
    yield "bad samples", f"{record['bad_samples']:,}"
