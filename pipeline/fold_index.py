"""The samples of a run: those of a split, with --fold of train and val together, and with
--train-samples a part of those to train on."""

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from pipeline.arrays import Integers
from pipeline.config import PipelineConfig
from pipeline.errors import MisuseError
from pipeline.plan.folds import draw_folds, parse_fold, rarity_ranks
from pipeline.plan.part import draw_part, order_for_parts, parse_train_samples, part_size
from pipeline.storage.dataset import Dataset, SplitIndex
from pipeline.storage.sources import read_groups

FOLDED_SPLITS = ("train", "val")
# The most folds that a message suggests.
MAX_SUGGESTED_FOLDS = 20


def open_index(dataset: Dataset, config: PipelineConfig, split: str) -> SplitIndex:
    """Open the samples of `split` for `config`.

    With ``config.fold`` = "I/K", train and val are one index, the rows of train first, and K folds
    divide it: "val" is fold I, which is held out, and "train" the others. Other splits are the
    dataset's own. With ``config.train_samples`` "train" is a part of that.

    Raises:
        MisuseError: there are fewer samples or groups than folds, or no image of a class is left to
            train on; or the part has more samples than there are, or less than it needs.
        DataError: the split is missing or damaged.
    """
    if split == "train" and config.train_samples is not None:
        return open_part(dataset, config.train_samples, config.fold, config.seed)
    return _open_whole(dataset, config.fold, config.seed, split)


def _open_whole(dataset: Dataset, fold: str | None, seed: int, split: str) -> SplitIndex:
    """The split without ``config.train_samples``."""
    if fold is None or split not in FOLDED_SPLITS:
        return dataset.split(split)
    folds = open_folds(dataset, fold, seed)
    _require_all_classes(folds, dataset)
    return folds.held_out if split == "val" else folds.training


# As ``open_folds``.
@lru_cache(maxsize=1)
def open_part(dataset: Dataset, train_samples: str, fold: str | None, seed: int) -> SplitIndex:
    """The part `train_samples`, N or P%, of the samples to train on; raises as ``open_index``."""
    whole = _open_whole(dataset, fold, seed, "train")
    count = part_size(parse_train_samples(train_samples), len(whole))
    if count > len(whole):
        raise MisuseError(
            f"--train-samples {train_samples} is more than the {len(whole):,} samples of "
            f"{whole.name} of {dataset.location}: give at most {len(whole)}, or 100%."
        )
    rows = whole.rows()
    shown = None
    if whole.task == "multi-label":
        rarest_first = np.argsort(whole.class_counts, kind="stable")
        shown = (whole.targets[rows] > 0)[:, rarest_first]
    ranks = rarity_ranks(whole)[rows]
    order, needed = order_for_parts(seed, rows=rows, ranks=ranks, shown=shown)
    if count < needed:
        purpose = "for a sample of each class" if dataset.manifest.classes else "to train on"
        raise MisuseError(
            f"--train-samples {train_samples} is {count} of the {len(whole):,} samples of "
            f"{whole.name} of {dataset.location}, too few {purpose}: give at least {needed}."
        )
    part = order[draw_part(ranks[order], needed=needed, count=count)]
    return whole.part(np.sort(rows[part]), f"{count:,} samples of {whole.name}")


def describe_part(dataset: Dataset, config: PipelineConfig) -> str:
    """What part of the samples is trained on, and how it was drawn, as a sentence."""
    part = open_index(dataset, config, "train")
    whole = _open_whole(dataset, config.fold, config.seed, "train")
    drawn = {
        "classification": "of each class in proportion and at least one",
        "multi-label": "in proportion by the rarest class of an image, at least one of each class",
    }.get(whole.task, "drawn at random")
    return (
        f"Training on {len(part):,} of the {len(whole):,} samples of {whole.name} (--train-samples "
        f"{config.train_samples}), {drawn}."
    )


@dataclass(frozen=True, kw_only=True)
class Folds:
    """Train and val, divided into `folds` folds of which fold `number` is held out.

    Attributes:
        number: from 1.
        seed: of the draw.
        index: the splits train and val as one.
        ranks, groups: int64 (rows,), see ``rarity_ranks`` and ``read_groups``.
        fold_of: int64 (rows,), the fold of each row, from 1.
    """

    number: int
    folds: int
    seed: int
    index: SplitIndex
    ranks: Integers
    groups: Integers
    fold_of: Integers

    @property
    def held_out(self) -> SplitIndex:
        """The samples to evaluate."""
        rows = np.flatnonzero(self.fold_of == self.number)
        return self.index.part(rows, f"fold {self.number}/{self.folds}")

    @property
    def training(self) -> SplitIndex:
        """The samples to train on."""
        rows = np.flatnonzero(self.fold_of != self.number)
        return self.index.part(rows, f"all folds but {self.number}/{self.folds}")

    @cached_property
    def holds_all_of(self) -> NDArray[np.bool_]:
        """bool (folds, classes): the classes of which a fold has all images; all False for
        regression and segmentation."""
        if self.index.task not in ("classification", "multi-label"):
            return np.zeros((self.folds, self.index.classes), bool)
        held = np.array(
            [
                self.index.part(np.flatnonzero(self.fold_of == number), "").class_counts
                for number in range(1, self.folds + 1)
            ]
        )
        return np.asarray((held > 0) & (held == held.sum(axis=0)))

    def describe(self) -> str:
        """What is trained on and held out, and how it was drawn, as sentences."""
        drawn = {
            "classification": "stratified by class",
            "multi-label": "stratified by the rarest class of an image",
        }.get(self.index.task, "drawn at random")
        groups = np.count_nonzero(np.bincount(self.groups) > 1)
        if groups:
            drawn += f", without dividing {groups:,} groups"
        text = (
            f"Fold {self.number}/{self.folds} of {self.index.name}: {len(self.training):,} samples "
            f"to train on, {len(self.held_out):,} held out for evaluation, {drawn}."
        )
        lacking = (1 + np.flatnonzero(self.holds_all_of.any(axis=1))).tolist()
        if lacking:
            text += (
                f" Fold {', '.join(map(str, lacking))} would leave a class without images to train "
                f"on."
            )
        return text


# A run opens its samples several times, and a million take a second to draw.
@lru_cache(maxsize=1)
def open_folds(dataset: Dataset, fold: str, seed: int) -> Folds:
    """Draw the folds that `fold`, "I/K", is one of; raises as ``open_index`` does, except for a
    class without images."""
    number, folds = parse_fold(fold)
    splits = [name for name in FOLDED_SPLITS if name in dataset.manifest.splits]
    index = dataset.split(*splits or ["train"])
    groups = read_groups(index)
    available = len(np.unique(groups))
    if available < folds:
        unit = "samples" if available == len(groups) else "groups, which are not divided,"
        advice = f"use at most {available:,} folds" if available > 1 else "train without --fold"
        raise MisuseError(
            f"--fold {fold} needs at least {folds:,} {unit} in {index.name} of {dataset.location}, "
            f"which has {available:,}: {advice}."
        )
    ranks = rarity_ranks(index)
    return Folds(
        number=number,
        folds=folds,
        seed=seed,
        index=index,
        ranks=ranks,
        groups=groups,
        fold_of=draw_folds(seed, folds, ranks=ranks, groups=groups),
    )


def _require_all_classes(folds: Folds, dataset: Dataset) -> None:
    """Raise ``MisuseError`` if a class has no image outside the fold that is held out."""
    classes = np.flatnonzero(folds.holds_all_of[folds.number - 1])
    if not len(classes):
        return
    first = int(classes[0])
    images = int(folds.index.class_counts[first])
    more = f" and all of {len(classes) - 1} more" if len(classes) > 1 else ""
    raise MisuseError(
        f"--fold {folds.number}/{folds.folds} holds out "
        f"{'the only image' if images == 1 else f'all {images} images'} of class "
        f"{dataset.manifest.classes[first]!r}{more}, so that none is left to train on: "
        f"{_advice(folds, first)}"
    )


def _advice(folds: Folds, label: int) -> str:
    index = folds.index
    shows = index.samples["label"] == label
    if index.task == "multi-label":
        shows = index.targets[:, label] > 0
    if len(np.unique(folds.groups[shows])) == 1:
        return (
            "no number of folds divides one image or group. Make shards with more images of the "
            "class or without it, or train without --fold."
        )
    most = min(MAX_SUGGESTED_FOLDS, len(np.unique(folds.groups)))
    for count in sorted(range(2, most + 1), key=lambda count: abs(count - folds.folds)):
        fold_of = draw_folds(folds.seed, count, ranks=folds.ranks, groups=folds.groups)
        other = replace(folds, folds=count, fold_of=fold_of)
        if not other.holds_all_of.any():
            return (
                f"use {count} folds (--fold 1/{count} to {count}/{count}), each of which leaves "
                f"images of every class to train on."
            )
    return (
        f"no number of folds up to {most} leaves images of every class to train on: use another "
        f"--seed."
    )
