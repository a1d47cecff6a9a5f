"""Evaluation of a checkpoint of a run on a split, with a metric for each class or target."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from pipeline.build import val_loader
from pipeline.config import PipelineConfig, open_dataset
from pipeline.errors import DataError, MisuseError
from pipeline.storage.dataset import Dataset
from trainer.checkpoints.checkpoint_file import CHECKPOINT_NAME, load_checkpoint
from trainer.config import Settings
from trainer.data import OPENED, TrainingData
from trainer.distributed.process_group import open_world
from trainer.evaluation.confusion import ClassificationWithConfusion, Confusion, draw_confusion
from trainer.evaluation.loop import evaluate
from trainer.model.build import Classifier
from trainer.model.precision import autocast_dtype, set_float32
from trainer.run.run_dir import CONFIG_NAME, CONFUSION_NAME
from trainer.setup import model_for, run_identity
from trainer.tasks.scores import Evaluation, metric_rows
from trainer.tasks.segmentation import Segmentation
from trainer.tasks.tasks import Classification, Task, task_from_record, task_record

# Classes or targets in the table; the JSON line has all.
LISTED_NAMES = 20
# Upper limit; the run's own batch size may be lower because memory is short.
BATCH_SIZE = 64


@dataclass(frozen=True, kw_only=True)
class TrainedRun:
    """A run as described by its config.json; `data` are the facts of its training split."""

    directory: Path
    settings: Settings
    data: TrainingData
    task: Task

    @property
    def pipeline(self) -> PipelineConfig:
        """Options of the run's validation, with its image size."""
        return dataclasses.replace(
            self.settings.pipeline,
            image_size=self.data.image_size_px,
            progressive_resize=None,
            threads=None,
        )

    def fold_of(self, dataset: Dataset) -> str | None:
        """The run's --fold if `dataset` is what it was trained on, else None."""
        is_own = dataset.fingerprint == self.data.fingerprint
        return self.settings.pipeline.fold if is_own else None

    @property
    def newest_checkpoint(self) -> Path:
        return self.directory / CHECKPOINT_NAME

    def load_model(self, path: Path) -> Classifier:
        """The model with the weights of checkpoint `path`, averaged ones if the run has them."""
        settings = dataclasses.replace(self.settings, pipeline=self.pipeline)
        checkpoint = load_checkpoint(path, run_identity(settings, self.data))
        model = model_for(settings, self.data, self.task)
        model.network.load_state_dict(checkpoint.ema or checkpoint.network)
        return model


def open_run(directory: Path) -> TrainedRun:
    """Read the config.json of a run.

    Raises ``DataError`` if there is no valid one, ``MisuseError`` for a run on synthetic batches.
    """
    path = directory / CONFIG_NAME
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        resolved = values["resolved"]
        names = {field.name for field in dataclasses.fields(TrainingData)} - {*OPENED}
        run = TrainedRun(
            directory=directory,
            settings=Settings.from_options(**values),
            data=TrainingData(dataset=None, **{name: resolved[name] for name in names}),
            task=task_from_record(resolved["task"]),
        )
    except OSError as error:
        raise DataError(
            f"{directory} holds no run ({CONFIG_NAME}: {error.strerror}): give the directory of a "
            f"run, --out of the trainer."
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} is not a config of this trainer: resume the run with python -m trainer "
            f"--out {directory}, which writes a new one."
        ) from error
    if run.settings.machine.synthetic:
        raise MisuseError(f"{directory} was trained on synthetic batches, which have no labels.")
    return run


def evaluate_run(
    directory: str, *, checkpoint: str | None, shards: str | None, split: str, device: str
) -> None:
    """Evaluate a checkpoint of the run, by default the newest; rank 0 prints the result.

    Samples without a label are left out. Raises ``DataError`` and ``MisuseError``.
    """
    with open_world(device) as world:
        with world.fail_together():
            run = open_run(Path(directory))
            path = Path(checkpoint) if checkpoint else run.newest_checkpoint
            pipeline = dataclasses.replace(
                run.pipeline, threads=world.threads, shards=shards or run.pipeline.shards
            )
            dataset = open_dataset(pipeline)
            pipeline = dataclasses.replace(pipeline, fold=run.fold_of(dataset))
            _require_same_labels(run, dataset)
            _require_labels(dataset, split)
            model = run.load_model(path).to(world.device)
            precision = run.settings.machine.precision
            dtype = autocast_dtype(precision, world.device, model)
            set_float32(precision)
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
        if isinstance(task, Classification):
            task = ClassificationWithConfusion(classes=task.classes)
        with batches:
            flips = run.settings.run.tta == "flip"
            evaluation = evaluate(batches, model, world, task, dtype=dtype, flips=flips)
        if world.rank > 0:
            return
        if evaluation is None:
            raise DataError(f"{dataset.location} has no sample in split {split!r}.")
        header = {"run": directory, "checkpoint": str(path), "shards": dataset.location}
        header |= {"split": split, "dtype": str(dtype or torch.float32).removeprefix("torch.")}
        header |= {"fold": pipeline.fold} if pipeline.fold else {}
        facts = dataset.manifest.splits.get(split)
        print_evaluation(
            evaluation,
            task,
            header=header,
            chart=run.directory / CONFUSION_NAME,
            unlabeled=facts.unlabeled if facts else 0,
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
    record["by_name"] = dict(evaluation.by_name)
    console = Console(soft_wrap=True, highlight=False)
    held_out = f" with fold {record['fold']} held out" if "fold" in record else ""
    title = f"{{samples:,}} samples of split {{split}}{held_out}, in {{dtype}}".format(**record)
    table = Table("", "value", title=title, min_width=len(title))
    for row in (*metric_rows(evaluation.metrics), ("loss", f"{evaluation.loss:.4f}")):
        table.add_row(*row)
    table.add_section()
    worst_first = sorted(evaluation.by_name.items(), key=lambda item: item[1])
    for name, value in worst_first[:LISTED_NAMES]:
        table.add_row(name, f"{value:.4f}")
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


def _require_labels(dataset: Dataset, split: str) -> None:
    facts = dataset.manifest.splits.get(split)
    if facts is not None and facts.samples and not facts.labeled:
        labeled = [name for name, other in dataset.manifest.splits.items() if other.labeled]
        raise MisuseError(
            f"--split {split}: none of its {facts.samples:,} samples in {dataset.location} has a "
            f"label, so there is nothing to compare predictions with. Evaluate "
            f"{' or '.join(labeled)}."
        )


def _require_same_labels(run: TrainedRun, dataset: Dataset) -> None:
    saved, manifest = task_record(run.task), dataset.manifest
    names = manifest.targets if manifest.task == "regression" else manifest.classes
    trained = tuple(saved.get("classes") or saved.get("targets") or ())
    if (manifest.task, names) != (saved["task"], trained):
        raise DataError(
            f"{dataset.location} is stored for {manifest.task} with {len(names)} names, but the "
            f"run was trained for {saved['task']} with {len(trained)}, or their names or order "
            f"differ: give --shards with the same labels."
        )
