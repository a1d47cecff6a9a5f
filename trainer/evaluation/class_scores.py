"""The scores of each class or target: a table of some, and a CSV of all."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from pipeline.table import Table, print_table
from pipeline.text import join_names, plural
from trainer.evaluation.findings import findings
from trainer.files import REPEAT
from trainer.run.run_dir import CLASS_SCORES_NAME, TARGET_SCORES_NAME, write_rows
from trainer.tasks.classification import TOP_CLASSES, Classification
from trainer.tasks.metric_names import COLUMN_NAMES, metric_rows
from trainer.tasks.regression import Regression
from trainer.tasks.scores import Evaluation
from trainer.tasks.tasks import Task

# Classes or targets in the table; of more than these only the worst and a few of the best.
LISTED_NAMES = 20
_WORST, _BEST = 10, 5


def print_scores(console: Console, evaluation: Evaluation, task: Task, *, title: str) -> None:
    """Print the metrics, those of each class or target, and the ``findings``."""
    record = evaluation.as_record()
    # The right class is always among the first five of five.
    if isinstance(task, Classification) and len(task.classes) <= TOP_CLASSES:
        del record["top5"]
    rows = metric_rows(record)
    print_table(Table(headers=("", "value"), rows=rows, title=title), console)
    print_table(_class_table(evaluation, task), console)
    if absent := [repr(name) for name, number in _numbers(evaluation).items() if not number]:
        unit = "pixels" if "pixels" in evaluation.columns() else "samples"
        classes = plural(len(absent), "class")
        console.print(f"Not listed: {classes} without {unit} here: {join_names(absent)}.")
    for sentence in findings(evaluation):
        console.print(sentence)


def write_scores(folder: Path, evaluation: Evaluation, task: Task) -> Path:
    """Write a CSV with a row for each class or target to `folder`; a score that is not defined is
    empty. Returns its path; raises ``DataError`` if it can't be written."""
    path = folder / scores_name(task)
    columns = evaluation.columns()
    cells = (
        (name, *(str(column.get(name, "")) for column in columns.values()))
        for name in names_of(task)
    )
    write_rows(path, [(kind_of(task), *columns), *cells], REPEAT)
    return path


def scores_name(task: Task) -> str:
    """The name of the CSV."""
    return TARGET_SCORES_NAME if isinstance(task, Regression) else CLASS_SCORES_NAME


def names_of(task: Task) -> Sequence[str]:
    """The classes of the task, or its targets."""
    named: Any = task
    names: Sequence[str] = named.targets if isinstance(task, Regression) else named.classes
    return names


def worst_first(evaluation: Evaluation) -> list[str]:
    """The classes with samples, or the targets, by F1, else by the metric of ``by_name``."""
    by = evaluation.columns().get("f1", evaluation.by_name)
    return sorted(_evaluated(evaluation), key=lambda name: by.get(name, 0.0))


def _evaluated(evaluation: Evaluation) -> list[str]:
    numbers = _numbers(evaluation)
    return [name for name in numbers or evaluation.by_name if numbers.get(name, 1)]


def _numbers(evaluation: Evaluation) -> Mapping[str, float]:
    """n of each class; nothing in regression."""
    columns = evaluation.columns()
    return columns.get("samples") or columns.get("pixels") or {}


def _class_table(evaluation: Evaluation, task: Task) -> Table:
    columns = evaluation.columns()
    headers = (kind_of(task), *(COLUMN_NAMES[column][0] for column in columns))
    rows = []
    for name in _listed(worst_first(evaluation)):
        if isinstance(name, int):
            rows.append([f"... {name:,} more: {scores_name(task)}", *[""] * len(columns)])
            continue
        cells = (
            format(values[name], COLUMN_NAMES[column][1]) if name in values else "-"
            for column, values in columns.items()
        )
        rows.append([name, *cells])
    return Table(headers=headers, rows=rows)


def _listed(names: Sequence[str]) -> Iterator[str | int]:
    """The names to list; a number stands for so many others."""
    if len(names) <= LISTED_NAMES:
        yield from names
        return
    yield from names[:_WORST]
    yield len(names) - _WORST - _BEST
    yield from names[-_BEST:]


def kind_of(task: Task) -> str:
    """What the rows of the table are."""
    return "target" if isinstance(task, Regression) else "class"
