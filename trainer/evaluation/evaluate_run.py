"""Evaluation of a checkpoint of a run on a split, with a metric for each class or target."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from pipeline.build import val_loader
from pipeline.config import open_dataset
from pipeline.errors import DataError, MisuseError
from pipeline.storage.dataset import Dataset
from trainer.distributed.process_group import open_world
from trainer.evaluation.confusion import Confusion, draw_confusion
from trainer.evaluation.loop import evaluate
from trainer.run.run_dir import CONFUSION_NAME
from trainer.tasks.classification import Classification
from trainer.tasks.metric_names import METRIC_NAMES, metric_rows
from trainer.tasks.scores import Evaluation
from trainer.tasks.segmentation import Segmentation
from trainer.tasks.tasks import Task
from trainer.trained_run import open_run

# Classes or targets in the table; the JSON line has all.
LISTED_NAMES = 20
# Upper limit; the run's own batch size may be lower because memory is short.
BATCH_SIZE = 64


def evaluate_run(
    directories: Sequence[Path],
    *,
    checkpoint: str | None,
    shards: str | None,
    split: str,
    device: str,
) -> None:
    """Evaluate a checkpoint of the run, by default the best; rank 0 prints the result.

    Samples without a label are left out. Raises ``DataError`` and ``MisuseError``.
    """
    with open_world(device) as world:
        with world.fail_together():
            run = open_run(directories[0])
            path = run.checkpoint(checkpoint)
            pipeline = dataclasses.replace(
                run.pipeline, threads=world.threads, shards=shards or run.pipeline.shards
            )
            dataset = open_dataset(pipeline)
            run.require_same_labels(dataset)
            _require_labels(dataset, split)
            model, dtype = run.load_for_inference(path, world.device)
            batches = val_loader(
                dataset,
                pipeline,
                batch_size=min(BATCH_SIZE, run.settings.recipe.global_batch_size),
                rank=world.rank,
                world_size=world.world_size,
                device=world.device,
                split=split,
            )
        task = run.task
        with batches:
            flips = run.settings.run.tta == "flip"
            evaluation = evaluate(batches, model, world, task, dtype=dtype, flips=flips)
        if world.rank > 0:
            return
        if evaluation is None:
            raise DataError(f"{dataset.location} has no sample in split {split!r}.")
        header = {"run": str(run.directory), "checkpoint": str(path), "shards": dataset.location}
        header |= {"split": split, "dtype": str(dtype or torch.float32).removeprefix("torch.")}
        print_evaluation(
            evaluation,
            task,
            header=header,
            chart=run.directory / CONFUSION_NAME,
            unlabeled=dataset.manifest.splits[split].unlabeled,
        )


def print_evaluation(
    evaluation: Evaluation,
    task: Task,
    *,
    header: Mapping[str, str],
    chart: Path,
    unlabeled: int = 0,
) -> None:
    """Print a table and a line of JSON, which begins with `header`; draw the confusion matrix.
    `unlabeled`: samples that were left out, because they have no label."""
    record: dict[str, Any] = {**header, **evaluation.as_record()}
    record["unlabeled"] = unlabeled
    record |= evaluation.tables()
    console = Console(soft_wrap=True, highlight=False)
    title = "{samples:,} samples of split {split}, in {dtype}".format(**record)
    more = evaluation.more_by_name
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
        console.print(f"Left out {samples} without a label.", markup=False)
    if len(worst_first) > LISTED_NAMES:
        console.print(
            f"The table lists the {LISTED_NAMES} lowest of {len(worst_first)} values; the JSON "
            f"line has all.",
            markup=False,
        )
    if evaluation.confusion is not None:
        assert isinstance(task, Classification | Segmentation)
        unit = "pixels" if isinstance(task, Segmentation) else "samples"
        counts = evaluation.confusion
        draw_confusion(Confusion(classes=task.classes, counts=counts, unit=unit), chart)
        record["confusion"] = str(chart)
        console.print(f"Confusion matrix: {chart}", markup=False)
    print(json.dumps(record, ensure_ascii=False))


def _column_title(name: str) -> str:
    """The text for a metric of each class or target."""
    return METRIC_NAMES[name][0] if name in METRIC_NAMES else name.capitalize()


def _require_labels(dataset: Dataset, split: str) -> None:
    facts = dataset.manifest.splits.get(split)
    if facts is not None and facts.samples and not facts.labeled:
        labeled = [name for name, other in dataset.manifest.splits.items() if other.labeled]
        raise MisuseError(
            f"--split {split}: none of its {facts.samples:,} samples in {dataset.location} has a "
            f"label, so there is nothing to compare predictions with. Evaluate "
            f"{' or '.join(labeled)}."
        )
