"""The report of an evaluation: a table, a line of JSON, and a confusion matrix."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.table import Table

from pipeline.console import open_console, print_json
from pipeline.errors import DataError
from trainer.evaluation.confusion import Confusion, draw_confusion
from trainer.tasks.classification import Classification
from trainer.tasks.metric_names import METRIC_NAMES, metric_rows
from trainer.tasks.scores import Evaluation
from trainer.tasks.segmentation import Segmentation
from trainer.tasks.tasks import Task

# Classes or targets in the table; the JSON line has all.
LISTED_NAMES = 20


def print_evaluation(
    evaluation: Evaluation,
    task: Task,
    *,
    what: str,
    header: Mapping[str, Any],
    chart: Path,
    unlabeled: int = 0,
) -> None:
    """Print a table and a line of JSON, which begins with `header`; draw the confusion matrix.

    Args:
        what: the samples, such as "split val, in float32", for the title.
        unlabeled: samples that were left out, because they have no label.
    """
    record: dict[str, Any] = {**header, **evaluation.as_record()}
    record["unlabeled"] = unlabeled
    record |= evaluation.tables()
    console = open_console(soft_wrap=True)
    more = evaluation.more_by_name
    title = f"{evaluation.samples:,} samples of {what}"
    table = Table("", "value", *map(_column_title, more), title=title, min_width=len(title))
    for row in metric_rows(record):
        table.add_row(*row)
    table.add_section()
    worst_first = sorted(evaluation.by_name.items(), key=lambda item: item[1])
    for name, value in worst_first[:LISTED_NAMES]:
        others = (values.get(name) for values in more.values())
        cells = ("" if other is None else f"{other:.4f}" for other in others)
        table.add_row(name, f"{value:.4f}", *cells)
    console.print(table, soft_wrap=False)
    if unlabeled:
        samples = "1 sample" if unlabeled == 1 else f"{unlabeled:,} samples"
        console.print(f"Left out {samples} without a label.")
    if len(worst_first) > LISTED_NAMES:
        console.print(
            f"The table lists the {LISTED_NAMES} lowest of {len(worst_first)} values; the JSON "
            f"line has all."
        )
    if evaluation.confusion is not None:
        assert isinstance(task, Classification | Segmentation)
        unit = "pixels" if isinstance(task, Segmentation) else "samples"
        counts = evaluation.confusion
        try:
            draw_confusion(Confusion(classes=task.classes, counts=counts, unit=unit), chart)
            record["confusion"] = str(chart)
            console.print(f"Confusion matrix: {chart}")
        except DataError as error:
            # A run may be on a read-only disk.
            console.print(f"No confusion matrix: {error.message}")
    print_json(record)


def _column_title(name: str) -> str:
    """The text for a metric of each class or target."""
    return METRIC_NAMES[name][0] if name in METRIC_NAMES else name.capitalize()
