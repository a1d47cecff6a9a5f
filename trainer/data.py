"""Training data: facts of the shards, or of ImageNet for synthetic batches; loaders and task."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pipeline.config import PipelineConfig
from pipeline.fold_index import open_index
from pipeline.loader import Loader
from pipeline.plan.ranks import per_rank_batch_size
from pipeline.sizes import resolve_sizes
from pipeline.storage.dataset import Dataset, SplitIndex
from pipeline.synthetic import SYNTHETIC_FINGERPRINT, SYNTHETIC_SAMPLES, synthetic_loader
from trainer.distributed.collectives import World
from trainer.first_checks import open_shards
from trainer.tasks.classification import Classification
from trainer.tasks.regression import Regression
from trainer.tasks.tasks import TASKS, Task

# Fields of ``TrainingData`` that are no plain data.
OPENED = ("dataset", "train", "val")


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """Facts of the data.

    Attributes:
        dataset, train: the shards, and the samples to train on; None for synthetic batches.
        val: the samples to evaluate; None without a validation split. With ``--fold`` the held-out
            fold.
        samples: number of samples to train on.
        classes: number of classes; 0 for regression.
        image_size_px: side of the images that the model gets.
        val_resize_px: shorter side that validation resizes to; None for synthetic batches.
        mean, std: per RGB channel, in fractions of 255.
        fingerprint: of the shards, for checkpoints.
    """

    dataset: Dataset | None
    samples: int
    classes: int
    image_size_px: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    fingerprint: str
    val_resize_px: int | None = None
    train: SplitIndex | None = None
    val: SplitIndex | None = None

    @property
    def facts(self) -> dict[str, Any]:
        """All fields but the opened shards, as plain data."""
        return {name: value for name, value in vars(self).items() if name not in OPENED}

    @property
    def earlier_fingerprints(self) -> tuple[str, ...]:
        """Of the shards before each append."""
        return self.dataset.manifest.earlier_fingerprints if self.dataset else ()

    @property
    def has_val(self) -> bool:
        """Whether there are samples to evaluate."""
        return bool(self.val)


def open_data(pipeline: PipelineConfig, *, synthetic: bool) -> TrainingData:
    """Open the shards, or describe synthetic batches.

    Raises ``DataError`` if there are no complete shards.
    """
    if synthetic:
        return TrainingData(
            dataset=None,
            samples=SYNTHETIC_SAMPLES,
            classes=1000,
            image_size_px=pipeline.image_size or 224,
            mean=(0.485, 0.456, 0.406),
            std=(0.229, 0.224, 0.225),
            fingerprint=SYNTHETIC_FINGERPRINT,
        )
    dataset = open_shards(pipeline)
    manifest = dataset.manifest
    sizes = resolve_sizes(pipeline, manifest)
    train = open_index(dataset, pipeline, "train")
    has_val = pipeline.fold is not None or "val" in manifest.splits
    return TrainingData(
        dataset=dataset,
        train=train,
        val=open_index(dataset, pipeline, "val") if has_val else None,
        samples=len(train),
        classes=len(manifest.classes),
        image_size_px=sizes.image_size_px,
        val_resize_px=sizes.resize_px,
        mean=manifest.mean,
        std=manifest.std,
        fingerprint=dataset.fingerprint,
    )


def with_image_size(data: TrainingData, pipeline: PipelineConfig) -> TrainingData:
    """`data` at the sizes of `pipeline`, which may have other ones than it was opened with."""
    if data.dataset is None:
        return replace(data, image_size_px=pipeline.image_size or data.image_size_px)
    sizes = resolve_sizes(pipeline, data.dataset.manifest)
    return replace(data, image_size_px=sizes.image_size_px, val_resize_px=sizes.resize_px)


def task_of(data: TrainingData, *, label_smoothing: float) -> Task:
    """The task of the shards; classification for synthetic batches."""
    if data.dataset is None or data.train is None:
        classes = tuple(map(str, range(data.classes)))
        return Classification(classes=classes, label_smoothing=label_smoothing)
    manifest = data.dataset.manifest
    if manifest.task == "classification":
        return Classification(classes=manifest.classes, label_smoothing=label_smoothing)
    if manifest.task == "regression":
        targets = np.asarray(data.train.targets[data.train.rows()], np.float64)
        stds = targets.std(axis=0)
        return Regression(
            targets=manifest.targets,
            means=tuple(targets.mean(axis=0).tolist()),
            # No division by 0 for a constant target.
            stds=tuple(np.where(stds > 0, stds, 1).tolist()),
        )
    task: Task = TASKS[manifest.task](classes=manifest.classes)
    return task


def end_position(epochs: float, *, samples: int, global_batch_size: int, start: int = 0) -> int:
    """End of the first step that completes `epochs` passes; steps begin at `start`."""
    missing = max(0, math.ceil(epochs * samples) - start)
    return start + math.ceil(missing / global_batch_size) * global_batch_size


def train_batches(
    data: TrainingData,
    pipeline: PipelineConfig,
    world: World,
    *,
    global_batch_size: int,
    position: int,
    end_position: int | None,
) -> Loader:
    """This rank's batches of the steps from `position` to `end_position`; None for no end."""
    if data.dataset is None:
        return synthetic_loader(
            batch_size=per_rank_batch_size(global_batch_size, world.world_size),
            world_size=world.world_size,
            image_size=data.image_size_px,
            classes=data.classes,
            device=world.device,
            position=position,
            end_position=end_position,
        )
    from pipeline.build import train_loader  # imports DALI, which --synthetic does without

    return train_loader(
        data.dataset,
        pipeline,
        global_batch_size=global_batch_size,
        rank=world.rank,
        world_size=world.world_size,
        device=world.device,
        position=position,
        end_position=end_position,
    )


def val_batches(
    data: TrainingData, pipeline: PipelineConfig, world: World, *, global_batch_size: int
) -> Loader | None:
    """This rank's batches of the samples to evaluate; None without any."""
    if data.dataset is None or not data.has_val:
        return None
    from pipeline.build import val_loader  # imports DALI, which --synthetic does without

    return val_loader(
        data.dataset,
        pipeline,
        batch_size=per_rank_batch_size(global_batch_size, world.world_size),
        rank=world.rank,
        world_size=world.world_size,
        device=world.device,
    )
