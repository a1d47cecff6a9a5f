"""Output of a command: sentences, tables and progress."""

from contextlib import AbstractContextManager

from pipeline.console import open_console
from pipeline.progress import ProgressCallback, counted_progress
from pipeline.table import Table, print_table


class Output:
    """Prints sentences, tables and progress; names from the data are not parsed as markup."""

    def __init__(self) -> None:
        self.console = open_console()

    def print(self, text: str) -> None:
        """Print a line, however long."""
        self.console.print(text, soft_wrap=True)

    def table(self, table: Table) -> None:
        """Print a table."""
        print_table(table, self.console)

    def progress(
        self, verb: str, total: int, *, unit: str, scale: int = 1
    ) -> AbstractContextManager[ProgressCallback]:
        """Show the progress with rate and remaining time: ``counted_progress``."""
        return counted_progress(self.console, verb, total, unit=unit, scale=scale)
