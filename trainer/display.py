"""What a person sees of a run: one live line on a terminal, plain lines elsewhere, a table last."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from trainer.loop import Evaluation
from trainer.metrics import Interval, throughput


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

    def step(self, position: int) -> None:
        self._live.update(self._task, completed=position)

    def interval(self, interval: Interval) -> None:
        text = describe(interval, samples=self._samples, end_position=self._end)
        if self._live.disable:
            self.say(text)
        else:
            self._live.update(self._task, description=text, completed=interval.position)

    def evaluation(self, position: int, evaluation: Evaluation) -> None:
        self.say(
            f"epoch {position / self._samples:.2f}  validation of {evaluation.samples:,}:  "
            f"top-1 {evaluation.top1:.2%}  top-5 {evaluation.top5:.2%}  loss {evaluation.loss:.4f}"
        )


def describe(interval: Interval, *, samples: int, end_position: int) -> str:
    """The progress line; time left is that of training, evaluations not counted."""
    left = (end_position - interval.position) / interval.images_per_second
    return (
        f"epoch {interval.position / samples:.2f}/{end_position / samples:.2f}  "
        f"loss {interval.loss:.4f}  lr {interval.learning_rate:.5f}  "
        f"{interval.images_per_second:,.1f} images/s  "
        f"{interval.data_share:.1%} waiting for data  {clock(left)} left"
    )


def clock(seconds: float) -> str:
    """Hours, minutes and seconds: 1:02:03, 2:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def show_summary(
    intervals: Sequence[Interval],
    *,
    best_top1: float | None,
    best_top5: float | None,
    first_epoch_end: int,
    directory: Path,
) -> None:
    """Print the table that ends a run.

    The first epoch is apart from the others: it reads files cold and warms up.
    """
    first = [
        interval for interval in intervals if interval.position - interval.images < first_epoch_end
    ]
    later = intervals[len(first) :]
    parts = [("first epoch of this process", first), ("later epochs", later)] if later else []
    table = Table(show_header=False)
    table.add_column()
    table.add_column(justify="right", overflow="fold")
    for name, part in [*parts, ("all epochs", intervals)]:
        total = throughput(part)
        if total:
            table.add_row(
                name,
                f"{total.images_per_second:,.1f} images/s, {total.data_share:.1%} waiting for data",
            )
    if best_top1 is not None and best_top5 is not None:
        table.add_row("best top-1", f"{best_top1:.2%}")
        table.add_row("its top-5", f"{best_top5:.2%}")
    table.add_row("files", str(directory))
    Console().print(table)
