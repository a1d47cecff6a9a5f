"""What a command predicts, with what, and in which form; checked before anything is predicted."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.config import PipelineConfig
from pipeline.errors import DataError, MisuseError
from pipeline.fold_index import FOLDED_SPLITS, open_index
from pipeline.storage.dataset import Dataset, SplitIndex
from trainer.distributed.collectives import World
from trainer.prediction.config import PredictConfig
from trainer.prediction.files import require_writable
from trainer.prediction.mask_forms import MaskForm, fit_mask_form, require_full_size
from trainer.prediction.sample_submission import (
    SampleSubmission,
    read_ids,
    read_sample_submission,
    require_samples,
)
from trainer.prediction.submission_form import Form, Names, fit_form
from trainer.tasks.multi_label import MultiLabel
from trainer.tasks.regression import Regression
from trainer.tasks.segmentation import Segmentation
from trainer.tasks.tasks import Task
from trainer.trained_run import TrainedRun, open_run

CSV = "predictions.csv"
# Format -> its default --out.
IMAGE_FORMATS = {
    "submission": "submission.csv",
    "labels": CSV,
    "probabilities": CSV,
    "npz": "predictions.npz",
}
MASK_FORMATS = {"submission": "submission.csv", "masks": "masks", "rle": CSV}


@dataclass(frozen=True, kw_only=True)
class Job:
    """Attributes:
    runs: the runs, and the checkpoint of each.
    dataset, index: the shards, and their split.
    fold: the fold of train and val, if these runs hold it out and `index` is a part of it.
    ids: the id of each sample of the split.
    sample: the sample submission; None if the shards have none.
    format: one of IMAGE_FORMATS or MASK_FORMATS.
    form: of a submission of predictions per image; `mask_form` of one of masks.
    """

    config: PredictConfig
    runs: tuple[tuple[TrainedRun, Path], ...]
    dataset: Dataset
    index: SplitIndex
    fold: str | None
    ids: list[str]
    sample: SampleSubmission | None
    names: Names
    format: str
    form: Form | None = None
    mask_form: MaskForm | None = None
    out: Path

    @property
    def task(self) -> Task:
        return self.runs[0][0].task

    @property
    def batch_size(self) -> int:
        """Images of a batch: not more than there are."""
        return min(self.config.batch_size, len(self.index))

    @property
    def place(self) -> str:
        """Where the samples are from, for people."""
        return self.config.src or self.dataset.location

    def describe(self) -> list[str]:
        """What is predicted, with what, and in which form, a sentence each."""
        paths = ", ".join(str(path) for _, path in self.runs)
        average = ", averaged" if len(self.runs) > 1 else ""
        lines = [
            f"Predicting {len(self.index):,} samples of {self.index.name} of {self.place} with "
            f"{paths}{average}."
        ]
        if self.form is not None and self.sample is not None:
            lines.append(f"{self.sample.table} asks for {self.form.note}.")
        elif self.sample is None and self.config.format == "auto" and self.config.src is None:
            lines.append(f"These shards have no sample submission: writing {self.format}.")
        return lines

    def pipeline(self, run: TrainedRun, world: World) -> PipelineConfig:
        """Options of a loader of the split for `run`; a damaged sample is an error."""
        return dataclasses.replace(
            run.pipeline,
            threads=world.threads,
            shards=self.dataset.location,
            fold=self.fold,
            max_bad=0.0,
        )


def prepare(config: PredictConfig, shards: str | None) -> Job:
    """Open runs and shards, `shards` or those of the first run, and choose the format.

    Raises ``DataError`` and ``MisuseError``.
    """
    runs = [open_run(directory, config.trust) for directory in config.directories]
    first = runs[0]
    dataset = first.open_shards(shards)
    for run in runs:
        run.require_same_labels(dataset)
    fold = _fold(runs, dataset, config.split)
    index = open_index(dataset, dataclasses.replace(first.pipeline, fold=fold), config.split)
    if not len(index):
        raise DataError(
            f"{dataset.location} has no sample in split {config.split!r}: give another --split."
        )
    sample = read_sample_submission(index, config.split)
    form_name = _format(config, first.task, dataset, sample)
    names = _names(config, first.task, dataset)
    pixelwise, form, mask_form = isinstance(first.task, Segmentation), None, None
    if form_name == "submission" and sample is not None:
        require_samples(sample, keep_missing=config.missing == "keep")
        if pixelwise:
            mask_form = fit_mask_form(sample, names)
        else:
            form = fit_form(sample, first.task, names)
    out = Path(config.out or (IMAGE_FORMATS | MASK_FORMATS)[form_name])
    require_writable(out, is_folder=form_name == "masks")
    if pixelwise and form_name != "masks":
        require_full_size(dataset.manifest.made_by)
    return Job(
        config=config,
        runs=tuple((run, run.checkpoint(config.checkpoint)) for run in runs),
        dataset=dataset,
        index=index,
        fold=fold,
        ids=read_ids(index),
        sample=sample,
        names=names,
        format=form_name,
        form=form,
        mask_form=mask_form,
        out=out,
    )


def _fold(runs: Sequence[TrainedRun], dataset: Dataset, split: str) -> str | None:
    """The fold that the runs hold out, as far as it concerns the split."""
    if split not in FOLDED_SPLITS:
        return None
    # Folds of another seed hold out other samples.
    own = [run.fold_of(dataset) for run in runs]
    seeds = [
        run.settings.pipeline.seed if fold else None for run, fold in zip(runs, own, strict=True)
    ]
    folds = set(zip(own, seeds, strict=True))
    if len(folds) > 1:
        raise MisuseError(
            f"--split {split}: the runs hold out different folds, so they can't be averaged there. "
            f"trainer.evaluate gives their score over all folds."
        )
    return folds.pop()[0]


def _names(config: PredictConfig, task: Task, dataset: Dataset) -> Names:
    manifest = dataset.manifest
    if isinstance(task, Regression):
        names = Names(classes=manifest.targets, labels=manifest.targets)
        if config.positive_class is not None:
            raise MisuseError(
                "--positive-class needs classes, which a regression does not have: remove it."
            )
    else:
        measured = manifest.made_by.get("measured", {})
        names = Names(
            classes=manifest.classes,
            labels=manifest.labels,
            positive=config.positive_class,
            separator=measured.get("label_separator") or " ",
        )
        _ = names.positive_index()
        if config.positive_class is not None and isinstance(task, MultiLabel):
            raise MisuseError(
                "--positive-class is for one class per image or pixel, not several: remove it."
            )
    if config.threshold is None:
        return names
    if not isinstance(task, MultiLabel):
        raise MisuseError(
            f"--threshold is for multi-label runs, not {dataset.manifest.task}: remove it."
        )
    return dataclasses.replace(names, threshold=config.threshold)


def _format(
    config: PredictConfig, task: Task, dataset: Dataset, sample: SampleSubmission | None
) -> str:
    """The format of --format, or the one that the task and the sample submission suggest."""
    pixelwise, name = isinstance(task, Segmentation), config.format
    if name == "auto":
        return "submission" if sample is not None else "masks" if pixelwise else "labels"
    if name == "submission" and sample is None:
        raise MisuseError(
            f"--format submission: {dataset.location} has no sample submission for split "
            f"{config.split}. Make the shards again from a download that has one, or pass another "
            f"--format."
        )
    formats = MASK_FORMATS if pixelwise else IMAGE_FORMATS
    if name not in formats:
        raise MisuseError(
            f"--format {name} does not fit {dataset.manifest.task}: pass {', '.join(formats)}."
        )
    if name == "probabilities" and isinstance(task, Regression):
        raise MisuseError("--format probabilities does not fit regression: pass labels or npz.")
    return name
