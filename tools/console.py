"""Output of a command: sentences, tables and progress bars."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from pipeline.console import open_console


class ProgressCallback(Protocol):
    """Called with the additional progress, in sources or bytes."""

    def __call__(self, count: int, /) -> None: ...


class Output:
    """Prints sentences, tables and progress; names from the data are not parsed as markup."""

    def __init__(self) -> None:
        self.console = open_console()

    def print(self, text: str) -> None:
        """Print a line, however long."""
        self.console.print(text, soft_wrap=True)

    def table(self, table: Table) -> None:
        """Print a table."""
        self.console.print(table)

    @contextmanager
    def progress(
        self, verb: str, total: int, *, unit: str, scale: int = 1
    ) -> Iterator[ProgressCallback]:
        """Show a progress bar with rate and remaining time if this is a terminal.

        `total` and the calls of the result count in steps of 1, the rate in units of `scale`.
        """
        bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        start = time.monotonic()
        with bar:
            task = bar.add_task(verb, total=total, rate="")

            def advance(count: int) -> None:
                done = bar.tasks[0].completed + count
                rate = done / scale / max(time.monotonic() - start, 1e-3)
                bar.update(task, advance=count, rate=f"{rate:,.0f} {unit}/s")

            yield advance
