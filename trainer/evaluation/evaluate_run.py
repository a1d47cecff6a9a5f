"""A finished or running run, judged: its checkpoint over a split, class by class."""

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from pipeline.batches import Batch
from pipeline.build import val_loader
from pipeline.config import PipelineConfig, open_dataset
from pipeline.errors import DataError, MisuseError
from pipeline.storage.dataset import Dataset
from trainer.checkpoints.checkpoint_file import CHECKPOINT_NAME, Identity, load_checkpoint
from trainer.config import Settings
from trainer.distributed.collectives import World
from trainer.distributed.process_group import open_world
from trainer.evaluation.confusion import Confusion, confusion_sums, draw_confusion
from trainer.evaluation.loop import add_up, evaluation_of, scoring
from trainer.model.build import Classifier, build_model
from trainer.model.precision import autocast_dtype, set_float32
from trainer.run.run_dir import CONFIG_NAME, CONFUSION_NAME
from trainer.tasks.scores import Evaluation, metric_rows
from trainer.tasks.segmentation import Segmentation
from trainer.tasks.tasks import Classification, Task, task_from_record

# Classes or targets in the table, the worst first; the JSON has all.
WORST = 20
# Less where the run's own batches were smaller, since memory may be short.
BATCH_SIZE = 64


@dataclass(frozen=True, kw_only=True)
class TrainedRun:
    """What config.json says of a run."""

    directory: Path
    settings: Settings
    resolved: Mapping[str, Any]

    @property
    def task(self) -> Task:
        return task_from_record(self.resolved["task"])

    @property
    def pipeline(self) -> PipelineConfig:
        """The run's validation, at the size that its images had."""
        size = self.resolved["image_size_px"]
        return dataclasses.replace(self.settings.pipeline, image_size=size, threads=None)

    @property
    def newest(self) -> Path:
        """The checkpoint that was written last."""
        return self.directory / CHECKPOINT_NAME

    def model(self, path: Path) -> Classifier:
        """With the weights of the checkpoint `path`: their average where the run keeps one."""
        recipe, identity = self.settings.recipe, self._identity()
        checkpoint = load_checkpoint(path, identity)
        model = build_model(
            recipe.model,
            classes=self.task.outputs,
            image_size_px=self.resolved["image_size_px"],
            mean=self.resolved["mean"],
            std=self.resolved["std"],
            seed=0,
            blurpool=recipe.blurpool,
            pixelwise=isinstance(self.task, Segmentation),
        )
        model.network.load_state_dict(checkpoint.ema or checkpoint.network)
        return model

    def _identity(self) -> Identity:
        return Identity(
            fingerprint=self.resolved["fingerprint"],
            seed=self.settings.pipeline.seed,
            model=self.settings.recipe.model,
            classes=self.resolved["classes"],
        )


def open_run(directory: Path) -> TrainedRun:
    """Raises ``DataError`` where there is no run, ``MisuseError`` for one of random batches."""
    path = directory / CONFIG_NAME
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        settings, resolved = Settings.from_options(**values), values["resolved"]
        task_from_record(resolved["task"])
    except OSError as error:
        raise DataError(
            f"{directory} holds no run ({CONFIG_NAME}: {error.strerror}): give the directory that "
            f"was the trainer's --out."
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} is not what this shardline's trainer writes: go on with the run by "
            f"python -m trainer --out {directory}, which writes it anew."
        ) from error
    if settings.machine.synthetic:
        raise MisuseError(f"{directory} was trained on random batches: there is nothing to judge.")
    return TrainedRun(directory=directory, settings=settings, resolved=resolved)


def evaluate_run(
    directory: str, *, checkpoint: str | None, shards: str | None, split: str, device: str
) -> None:
    """Evaluate a checkpoint of the run, by default the newest, and show the result on rank 0.
    Raises ``DataError`` and ``MisuseError``."""
    with open_world(device) as world:
        with world.fail_together():
            run = open_run(Path(directory))
            path = Path(checkpoint) if checkpoint else run.newest
            pipeline = run.pipeline
            if shards:
                pipeline = dataclasses.replace(pipeline, shards=shards)
            dataset = open_dataset(pipeline)
            _refuse_others(run, dataset)
            model = run.model(path).to(world.device)
            precision = run.settings.machine.precision
            dtype = autocast_dtype(precision, world.device, model)
            set_float32(precision)
            batches = val_loader(
                dataset,
                dataclasses.replace(pipeline, threads=world.threads),
                batch_size=min(BATCH_SIZE, run.settings.recipe.global_batch_size),
                rank=world.rank,
                world_size=world.world_size,
                device=world.device,
                split=split,
            )
        with batches:
            flips = run.settings.run.tta == "flip"
            result = evaluate_split(run.task, batches, model, world, dtype=dtype, flips=flips)
        if world.rank == 0:
            if result is None:
                raise DataError(f"{dataset.location} has no sample in its split {split}.")
            said = {"run": directory, "checkpoint": str(path), "shards": dataset.location}
            said |= {"split": split, "dtype": str(dtype or torch.float32).removeprefix("torch.")}
            show(*result, said=said, picture=run.directory / CONFUSION_NAME)


def evaluate_split(
    task: Task,
    batches: Iterable[Batch],
    model: Classifier,
    world: World,
    *,
    dtype: torch.dtype | None,
    flips: bool,
) -> tuple[Evaluation, Confusion | None] | None:
    """What the task says and, where there are classes to take for each other, the confusion; None
    if there was no sample."""
    classes = task.classes if isinstance(task, Classification) else ()
    scored, own_sums = scoring(model, task, flips=flips)

    def sums(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        own = own_sums(outputs, targets)
        if not classes:
            return own
        return torch.cat([confusion_sums(outputs[:, : task.outputs], targets), own])

    totals = add_up(batches, scored, world, sums, dtype=dtype) or []
    cells, own = totals[: len(classes) ** 2], totals[len(classes) ** 2 :]
    evaluation = evaluation_of(own, task, flips=flips)
    if evaluation is None:
        return None
    if isinstance(task, Segmentation):
        plain = own[: len(own) // 2] if flips else own
        return evaluation, Confusion(classes=task.classes, counts=task.cells(plain), unit="pixels")
    if not classes:
        return evaluation, None
    counts = np.array(cells, np.int64).reshape(len(classes), len(classes))
    confusion = Confusion(classes=classes, counts=counts)
    return dataclasses.replace(evaluation, by_name=confusion.accuracies()), confusion


def show(
    evaluation: Evaluation, confusion: Confusion | None, *, said: Mapping[str, str], picture: Path
) -> None:
    """The table, the picture, and the JSON line, which begins with what was `said`."""
    record: dict[str, Any] = {**said, **evaluation.as_record(), "by_name": dict(evaluation.by_name)}
    console = Console(soft_wrap=True, highlight=False)
    title = "{samples:,} samples of {split}, in {dtype}".format(**record)
    table = Table("", "value", title=title)
    for row in (*metric_rows(evaluation.metrics), ("loss", f"{evaluation.loss:.4f}")):
        table.add_row(*row)
    table.add_section()
    worst = sorted(evaluation.by_name.items(), key=lambda item: item[1])
    for name, value in worst[:WORST]:
        table.add_row(name, f"{value:.4f}")
    console.print(table, soft_wrap=False)
    if len(worst) > WORST:
        console.print(f"The {WORST} worst of {len(worst)}; the JSON has all.", markup=False)
    if confusion is not None:
        draw_confusion(confusion, picture)
        record["confusion"] = str(picture)
        console.print(f"Which are taken for which: {picture}", markup=False)
    print(json.dumps(record, ensure_ascii=False))


def _refuse_others(run: TrainedRun, dataset: Dataset) -> None:
    saved, manifest = run.resolved["task"], dataset.manifest
    names = manifest.targets if manifest.task == "regression" else manifest.classes
    trained = tuple(saved.get("classes") or saved.get("targets") or ())
    if (manifest.task, names) != (saved["task"], trained):
        raise DataError(
            f"{dataset.location} is stored for {manifest.task} of {len(names)} names, the run was "
            f"trained for {saved['task']} of {len(trained)}, or their names or order differ: give "
            f"--shards made with the same labels."
        )
