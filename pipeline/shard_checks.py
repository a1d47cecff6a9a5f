"""Whether shards have what options ask for, by their manifest alone. Needs no torch."""

from pipeline.config import PipelineConfig, open_dataset
from pipeline.errors import MisuseError
from pipeline.fold_index import FOLDED_SPLITS, open_index
from pipeline.storage.dataset import Dataset


def check_shards(config: PipelineConfig, split: str) -> Dataset:
    """Open ``config.shards``. Raises ``DataError`` if they are missing or lack `split`, and
    ``MisuseError`` for options that their task does not support, or that split."""
    dataset = open_dataset(config)
    if config.fold is None or split not in FOLDED_SPLITS:
        dataset.require_splits(split)
    check_task_support(config, dataset.manifest.task)
    if config.train_samples is not None:
        if split != "train":
            raise MisuseError(
                f"--train-samples {config.train_samples} is a part of train, but --split is "
                f"{split}: omit one of them."
            )
        open_index(dataset, config, split)
    return dataset


def check_task_support(config: PipelineConfig, task: str) -> None:
    """Raise ``MisuseError`` if `config` has an option that `task` does not support."""
    if task != "classification" and (config.mixup_alpha or config.cutmix_alpha):
        raise MisuseError(
            f"--mixup-alpha and --cutmix-alpha mix the classes of two images, but these shards are "
            f"stored for {task}: remove them."
        )
    if task == "segmentation" and config.cache != "none":
        raise MisuseError(
            f"--cache {config.cache} does not cache masks, but these shards are stored for "
            f"segmentation: remove it."
        )
