"""The files of an evaluation in the run's directory: tables, and pictures of what went wrong."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from pipeline.errors import DataError
from pipeline.table import Table, print_table
from trainer.evaluation.class_scores import kind_of, names_of, write_scores
from trainer.evaluation.confusion import Confusion, draw_confusion, write_pairs
from trainer.evaluation.worst import Picture, WorstSample, describe_masks, write_worst
from trainer.evaluation.worst_chart import draw_worst
from trainer.run.run_dir import CONFUSION_NAME, PAIRS_NAME, WORST_CHART_NAME, WORST_NAME
from trainer.tasks.scores import Evaluation
from trainer.tasks.segmentation import Segmentation
from trainer.tasks.tasks import Task

# Most frequent confusions that are printed.
PRINTED_PAIRS = 5


def save_files(
    console: Console,
    evaluation: Evaluation,
    task: Task,
    folder: Path,
    *,
    what: str,
    worst: Callable[[], tuple[list[WorstSample], Mapping[int, Picture]]],
) -> dict[str, Any]:
    """Write and name the files of the evaluation in `folder`, which is created; print the most
    frequent confusions.

    Args:
        what: the samples, such as "split val, in float32", for titles.
        worst: gives the samples with the highest losses, and their pictures.

    Returns fields of the JSON line: the paths, and the confusions.
    """
    record: dict[str, Any] = {}
    if (confusion := confusion_of(evaluation, task)) is not None:
        _print_pairs(console, confusion)
        record["confused"] = confusion.pairs(PRINTED_PAIRS)
    # A run may be on a read-only disk.
    try:
        path = write_scores(folder, evaluation, task)
        record["scores"] = str(path)
        console.print(f"Scores of each {kind_of(task)}: {path}")
        if confusion is not None:
            pairs, chart = folder / PAIRS_NAME, folder / CONFUSION_NAME
            write_pairs(confusion, pairs)
            draw_confusion(confusion, chart)
            record |= {"confusion": str(chart), "pairs": str(pairs)}
            console.print(f"Confusion matrix: {chart}, and its pairs: {pairs}")
        paths = _save_worst(*worst(), task, folder, what=what)
        record |= {"worst": str(paths[0]), "worst_chart": str(paths[1])}
        console.print(f"Highest losses: {paths[1]}, listed in {paths[0]}")
    except DataError as error:
        console.print(f"Not all files of the evaluation were written: {error.message}")
    return record


def confusion_of(evaluation: Evaluation, task: Task) -> Confusion | None:
    """The confusion matrix of the evaluation, if it has one."""
    if evaluation.confusion is None:
        return None
    unit = "pixels" if isinstance(task, Segmentation) else "samples"
    return Confusion(classes=tuple(names_of(task)), counts=evaluation.confusion, unit=unit)


def _save_worst(
    samples: Sequence[WorstSample],
    pictures: Mapping[int, Picture],
    task: Task,
    folder: Path,
    *,
    what: str,
) -> tuple[Path, Path]:
    """The paths of the CSV and of the picture."""
    names, paths = tuple(names_of(task)), (folder / WORST_NAME, folder / WORST_CHART_NAME)
    if isinstance(task, Segmentation):
        samples = [describe_masks(sample, pictures[sample.row], names) for sample in samples]
    write_worst(paths[0], samples)
    title, subtitle = f"{folder.name}: the highest losses", f"The highest {len(samples)} of {what}"
    draw_worst(samples, pictures, names, paths[1], title=title, subtitle=subtitle)
    return paths


def _print_pairs(console: Console, confusion: Confusion) -> None:
    pairs = confusion.pairs(PRINTED_PAIRS)
    if not pairs:
        return
    headers = ("true", "predicted", confusion.unit, "of class")
    rows = [(true, guess, f"{count:,}", f"{share:.2%}") for true, guess, count, share in pairs]
    title = "Most frequent confusions"
    print_table(Table(headers=headers, rows=rows, title=title, texts=(0, 1)), console)
