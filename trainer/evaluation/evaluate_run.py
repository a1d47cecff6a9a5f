"""Evaluation of checkpoints of runs on a split, with metrics of each class or target."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.batch import Batch
from pipeline.build import val_loader
from pipeline.config import PipelineConfig
from pipeline.console import open_console, print_json
from pipeline.errors import DataError, MisuseError
from pipeline.fold_index import FOLDED_SPLITS, open_index
from pipeline.plan.folds import parse_fold
from pipeline.progress import ProgressCallback
from pipeline.storage.dataset import Dataset
from pipeline.text import plural
from trainer.distributed.collectives import World
from trainer.distributed.process_group import open_world
from trainer.evaluation.class_scores import print_scores
from trainer.evaluation.loop import compute, gathered_statistics, with_tta
from trainer.evaluation.report import save_files
from trainer.evaluation.worst import Picture, WorstSample, read_pictures, worst_samples
from trainer.model.build import Classifier
from trainer.model.precision import dtype_name, set_float32
from trainer.model.sources.stored_file import NO_TRUST, Trust
from trainer.rank_progress import images_progress
from trainer.tasks.scores import Statistics, merge
from trainer.tasks.segmentation import Segmentation
from trainer.trained_run import TrainedRun, open_run

# Upper limit; the run's own batch size may be lower because memory is short.
BATCH_SIZE = 64


@dataclass(frozen=True, kw_only=True)
class _Opened:
    """A run with the shards that it is evaluated on. `pipeline` has its fold of them."""

    run: TrainedRun
    checkpoint: Path
    dataset: Dataset
    pipeline: PipelineConfig
    model: Classifier
    dtype: torch.dtype | None


def evaluate_runs(
    directories: Sequence[Path],
    *,
    checkpoint: str | None,
    shards: str | None,
    split: str,
    device: str,
    trust: Trust = NO_TRUST,
) -> None:
    """Evaluate a checkpoint of a run, by default the best; or those of several folds, each on the
    fold that it holds out. Rank 0 prints the result.

    Samples without a label are left out. Raises ``DataError`` and ``MisuseError``.
    """
    with open_world(device) as world:
        with world.fail_together():
            runs = [open_run(path, trust) for path in directories]
            opened = [_open(run, checkpoint, shards, split, world) for run in runs]
            if len(opened) > 1:
                _require_folds(opened, split)
            images = sum(len(open_index(one.dataset, one.pipeline, split)) for one in opened)
        console = open_console(soft_wrap=True)
        with images_progress(console, "evaluating", images, world) as advance:
            parts = [_statistics(one, split, world, advance) for one in opened]
        if world.rank > 0:
            return
        merged = merge([part for part in parts if part is not None])
        first = opened[0]
        if not len(merged.samples):
            raise DataError(
                f"{first.dataset.location} has no sample in split {split!r}: give another --split."
            )
        evaluation = compute(first.run.task, merged, flips=_flips(first))
        what = _what(opened, split)
        title = f"{evaluation.samples:,} samples of {what}"
        print_scores(console, evaluation, first.run.task, title=title)
        header = _header(opened, split)
        if header["unlabeled"]:
            samples = plural(header["unlabeled"], "sample")
            console.print(f"Left out {samples} without a label.")
        files = save_files(
            console,
            evaluation,
            first.run.task,
            first.run.directory / ("" if split == "val" else split),
            what=what,
            worst=lambda: _worst(opened, merged, split, world.device),
        )
        print_json({**header, **evaluation.as_record(), **evaluation.tables(), **files})


def _what(opened: Sequence[_Opened], split: str) -> str:
    """The samples, for titles."""
    folds = [one.pipeline.fold for one in opened if one.pipeline.fold]
    held_out = f" with fold {', '.join(folds)} held out" if folds else ""
    return f"split {split}{held_out}, in {dtype_name(opened[0].dtype)}"


def _header(opened: Sequence[_Opened], split: str) -> dict[str, Any]:
    """What was evaluated, for the JSON line."""
    runs = [str(one.run.directory) for one in opened]
    paths = [str(one.checkpoint) for one in opened]
    folds = [one.pipeline.fold for one in opened if one.pipeline.fold]
    is_one, dataset = len(opened) == 1, opened[0].dataset
    facts = dataset.manifest.splits.get(split)
    return {
        "run": runs[0] if is_one else runs,
        "checkpoint": paths[0] if is_one else paths,
        "shards": dataset.location,
        "split": split,
        "dtype": dtype_name(opened[0].dtype),
        **({"fold": ", ".join(folds)} if folds else {}),
        # Every sample of train and val has a label.
        "unlabeled": facts.unlabeled if facts and not folds else 0,
    }


def _worst(
    opened: Sequence[_Opened], statistics: Statistics, split: str, device: torch.device
) -> tuple[list[WorstSample], dict[int, Picture]]:
    """The samples with the highest losses, and their pictures as the model of their fold gets and
    predicts them."""
    task = opened[0].run.task
    plain = statistics.halves()[0] if _flips(opened[0]) else statistics
    pictures: dict[int, Picture] = {}
    samples = worst_samples(task, plain, open_index(opened[0].dataset, opened[0].pipeline, split))
    for one in opened:
        index = open_index(one.dataset, one.pipeline, split)
        rows = np.array([sample.row for sample in samples])
        own = rows[np.isin(rows, index.rows())]
        if not len(own):
            continue
        batches = val_loader(
            one.dataset,
            dataclasses.replace(one.pipeline, cache="none"),
            batch_size=len(own),
            device=device,
            split=split,
            samples=own,
        )
        predict = None
        if isinstance(task, Segmentation):
            predict, _ = with_tta(one.model.eval(), task, flips=False)
        with batches:
            pictures |= read_pictures(batches, predict, dtype=one.dtype)
    return samples, pictures


def _open(
    run: TrainedRun, checkpoint: str | None, shards: str | None, split: str, world: World
) -> _Opened:
    dataset = run.open_shards(shards)
    pipeline = dataclasses.replace(run.pipeline, threads=world.threads, shards=dataset.location)
    run.require_same_labels(dataset)
    _require_labels(dataset, split)
    path = run.checkpoint(checkpoint)
    model, dtype = run.load_for_inference(path, world.device)
    return _Opened(
        run=run,
        checkpoint=path,
        dataset=dataset,
        pipeline=dataclasses.replace(
            pipeline, fold=run.fold_of(dataset) if split in FOLDED_SPLITS else None
        ),
        model=model,
        dtype=dtype,
    )


def _counted(batches: Iterable[Batch], advance: ProgressCallback) -> Iterator[Batch]:
    for batch in batches:
        yield batch
        advance(len(batch.samples))


def _statistics(
    opened: _Opened, split: str, world: World, advance: ProgressCallback
) -> Statistics | None:
    """What the metrics need of the split's samples, on rank 0; None on the others."""
    run = opened.run
    with world.fail_together():
        batches = val_loader(
            opened.dataset,
            opened.pipeline,
            batch_size=min(BATCH_SIZE, run.settings.recipe.global_batch_size),
            rank=world.rank,
            world_size=world.world_size,
            device=world.device,
            split=split,
        )
    set_float32(run.precision)
    with batches:
        return gathered_statistics(
            _counted(batches, advance),
            opened.model,
            world,
            run.task,
            dtype=opened.dtype,
            flips=_flips(opened),
        )


def _flips(opened: _Opened) -> bool:
    return opened.run.settings.run.tta == "flip"


def _require_folds(opened: Sequence[_Opened], split: str) -> None:
    """Raise ``MisuseError`` unless the runs are different folds of one division of one dataset."""
    folds = [one.pipeline.fold for one in opened]
    divisions = {
        (one.dataset.fingerprint, one.pipeline.seed, fold and parse_fold(fold)[1])
        for one, fold in zip(opened, folds, strict=True)
    }
    if split != "val" or None in folds or len(divisions) > 1 or len({*folds}) < len(folds):
        named = ", ".join(
            f"{one.run.directory} ({'no --fold' if fold is None else f'--fold {fold}'}, --seed "
            f"{one.pipeline.seed})"
            for one, fold in zip(opened, folds, strict=True)
        )
        raise MisuseError(
            f"Several runs are evaluated together only as different folds of one division of the "
            f"same shards, on --split val: {named}. Evaluate them one by one, or average their "
            f"predictions with trainer.predict."
        )
    if len({one.run.settings.run.tta for one in opened}) > 1:
        raise MisuseError("Some of these runs have --tta flip: evaluate them one by one.")


def _require_labels(dataset: Dataset, split: str) -> None:
    facts = dataset.manifest.splits.get(split)
    if facts is not None and facts.samples and not facts.labeled:
        labeled = [name for name, other in dataset.manifest.splits.items() if other.labeled]
        raise MisuseError(
            f"--split {split}: none of its {facts.samples:,} samples in {dataset.location} has a "
            f"label, so there is nothing to compare predictions with. Evaluate "
            f"{' or '.join(labeled)}."
        )
