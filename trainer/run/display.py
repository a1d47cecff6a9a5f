"""What a person sees of a run: one live line on a terminal, plain lines elsewhere, a table last."""

from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from trainer.checkpoints.checkpoint_file import Progress as RunProgress
from trainer.meter import Interval
from trainer.run.duration import clock
from trainer.run.summary import Summary
from trainer.tasks.scores import Evaluation, describe_metrics, metric_rows


class Display:
    """Args: `shows` on rank 0; a run over `samples` a pass ends at `end_position`."""

    def __init__(self, *, shows: bool, samples: int, position: int, end_position: int) -> None:
        self._samples, self._end = samples, end_position
        self._console = Console(quiet=not shows, soft_wrap=True, highlight=False)
        self._live = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            console=self._console,
            refresh_per_second=2,
            disable=not (shows and self._console.is_terminal),
        )
        self._task = self._live.add_task("first steps", total=end_position, completed=position)

    def start(self) -> None:
        self._live.start()

    def stop(self) -> None:
        self._live.stop()

    def say(self, text: str) -> None:
        self._console.print(text, markup=False)

    def step(self, position: int, end_position: int) -> None:
        self._end = end_position
        self._live.update(self._task, completed=position, total=end_position)

    def interval(self, interval: Interval) -> None:
        text = describe(interval, samples=self._samples, end_position=self._end)
        if self._live.disable:
            self.say(text)
        else:
            self._live.update(self._task, description=text, completed=interval.position)

    def evaluation(self, position: int, evaluation: Evaluation) -> None:
        self.say(
            f"epoch {position / self._samples:.2f}  validation of {evaluation.samples:,}:  "
            f"{describe_metrics(evaluation.metrics)}  loss {evaluation.loss:.4f}"
        )

    def summary(self, summary: Summary, progress: RunProgress, directory: Path) -> None:
        table = Table(show_header=False)
        table.add_column()
        table.add_column(justify="right", overflow="fold")
        for row in summary_rows(summary, progress):
            table.add_row(*row)
        table.add_row("files", str(directory))
        self._live.stop()
        self._console.print(table, soft_wrap=False)


def describe(interval: Interval, *, samples: int, end_position: int) -> str:
    """The progress line; time left is that of training, evaluations not counted."""
    left = (end_position - interval.position) / interval.images_per_second
    return (
        f"epoch {interval.position / samples:.2f}/{end_position / samples:.2f}  "
        f"loss {interval.loss:.4f}  lr {interval.learning_rate:.5f}  "
        f"{interval.images_per_second:,.1f} images/s  "
        f"{interval.data_share:.1%} waiting for data  {clock(left)} left"
    )


def summary_rows(summary: Summary, progress: RunProgress) -> Iterator[tuple[str, str]]:
    """The table that ends a run: (what, how much)."""
    for name, part in (
        ("warm-up", summary.warmup),
        ("first epoch, files cold", summary.first_epoch),
        ("later epochs", summary.later_epochs),
        ("all epochs", summary.total),
    ):
        if part:
            rate = f"{part.images_per_second:,.1f} images/s"
            yield name, f"{rate}, {part.data_share:.1%} waiting for data"
    for milestone in summary.milestones:
        when = f"{clock(milestone.elapsed_seconds)}, epoch {milestone.epoch:.2f}"
        yield f"top-1 of {milestone.top1:.0%} after", when
    for number, (name, value) in enumerate(metric_rows(progress.best)):
        yield f"its {name}" if number else f"best {name}", value
    processes = f" in {summary.processes} processes" if summary.processes > 1 else ""
    yield "time, with evaluations", clock(summary.elapsed_seconds) + processes
    yield "peak memory of a rank", f"{summary.memory_bytes / 2**20:,.0f} MiB"
    yield "bad samples", f"{summary.bad_samples:,}"
