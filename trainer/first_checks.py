"""What can be wrong with a training or with runs, as far as it shows without torch: commands check
it before they import torch, which takes seconds. Once the ranks have met, they check everything."""

import os
from collections.abc import Sequence
from pathlib import Path

from pipeline.config import PipelineConfig, open_dataset
from pipeline.errors import DataError, MisuseError
from pipeline.fold_index import FOLDED_SPLITS, open_index
from pipeline.plan.ranks import per_rank_batch_size
from pipeline.shard_checks import check_task_support
from pipeline.storage.dataset import Dataset
from trainer.config import RunConfig, Settings
from trainer.distributed.exit import is_first_rank
from trainer.files import checkpoint_error
from trainer.model.sources.model_code import is_own_file, read_model_code
from trainer.model.sources.stored_file import Trust, trusted_code
from trainer.recipe_config import RecipeConfig
from trainer.run.run_dir import check_run_dir
from trainer.stored_run import StoredRun, read_run
from trainer.tasks.class_weights import class_weights
from trainer.tasks.metric_names import TASK_LOSSES, TASK_METRICS


def check_training(settings: Settings) -> None:
    """Raise ``MisuseError`` and ``DataError`` as ``build_run`` would."""
    recipe, pipeline, dataset = settings.recipe, settings.pipeline, None
    task, has_val = "classification", False
    if not settings.machine.synthetic:
        dataset = open_shards(pipeline)
        task = dataset.manifest.task
        has_val = pipeline.fold is not None or "val" in dataset.manifest.splits
    # The default follows from the data, or is that of the run which is resumed.
    if "global_batch_size" in settings.given:
        rank_batch_size(recipe, int(os.environ.get("WORLD_SIZE", "1")))
    check_loss(recipe.loss, task)
    check_ends(settings.run, task, has_val=has_val)
    if is_own_file(recipe.model):
        read_model_code(recipe.model)
    train = None
    if dataset and not (recipe.class_weights is None and pipeline.train_samples is None):
        train = open_index(dataset, pipeline, "train")
    if recipe.class_weights is not None:
        class_weights(recipe.class_weights, dataset, train, pipeline)
    # Another rank may look when rank 0 has begun to write the run.
    if is_first_rank():
        check_run_dir(settings.run)


def open_shards(pipeline: PipelineConfig) -> Dataset:
    """Open the shards to train on. Raises ``DataError`` if they are missing or have no samples to
    train on, ``MisuseError`` for options that do not fit them."""
    dataset = open_dataset(pipeline)
    dataset.require(*TASK_METRICS)
    if "train" not in dataset.manifest.splits and not pipeline.fold:
        raise DataError(
            f"{dataset.location} has no split train, only {', '.join(dataset.manifest.splits)}, so "
            f"there is nothing to train on: give --shards with labeled samples."
        )
    check_task_support(pipeline, dataset.manifest.task)
    return dataset


def rank_batch_size(recipe: RecipeConfig, world_size: int) -> int:
    """Samples per step of a rank. Raises ``MisuseError`` if the ranks can't share the batch
    equally, or --accumulate-steps does not divide it."""
    batch_size = per_rank_batch_size(recipe.global_batch_size, world_size)
    steps = recipe.accumulate_steps
    if steps != "auto" and batch_size % steps:
        raise MisuseError(
            f"--accumulate-steps {steps} does not divide the batch size per rank, {batch_size}: "
            f"choose a divisor."
        )
    return batch_size


def check_ends(run: RunConfig, task: str, *, has_val: bool) -> None:
    """Raise ``MisuseError`` for an end of the run that needs another `task` or a validation
    split."""
    if run.target_top1 is not None:
        if task != "classification":
            raise MisuseError("--target-top1 needs a classification, which these shards are not.")
        if run.monitor not in (None, "top1"):
            raise MisuseError(
                f"--target-top1 looks at the best top-1, but --monitor {run.monitor} selects the "
                f"best evaluation by another metric: remove one of them."
            )
    if run.patience is not None and not has_val:
        raise MisuseError(
            f"--patience {run.patience} counts evaluations, but there is no validation split: "
            f"remove it."
        )


def check_loss(loss: str, task: str) -> None:
    """Raise ``MisuseError`` if the `task` has no such `loss` of --loss."""
    losses = TASK_LOSSES[task]
    if loss not in ("auto", *losses):
        advice = f"choose one of {', '.join(losses)}" if losses else "remove it"
        raise MisuseError(f"--loss {loss}: shards for {task} are not trained with it: {advice}.")


def check_runs(
    directories: Sequence[Path], checkpoint: str | None, trust: Trust
) -> list[StoredRun]:
    """Read the config.json of each run. Raises ``DataError`` for a directory without a run, or with
    a checkpoint that can't be read, ``MisuseError`` for one whose code is not trusted."""
    runs = [read_run(directory) for directory in directories]
    for run in runs:
        if run.model_file is not None:
            trusted_code(run.directory, run.model_file, trust)
    for path in [run.checkpoint(checkpoint) for run in runs]:
        try:
            path.open("rb").close()
        except OSError as error:
            raise checkpoint_error(path, error) from error
    return runs


def check_split(run: StoredRun, shards: str | None, split: str | None) -> None:
    """Raise ``DataError`` and ``MisuseError`` unless `shards`, or those of the run, can be opened
    and have the labels of the run and `split`; None for any."""
    dataset = run.open_shards(shards)
    run.require_same_labels(dataset)
    is_fold = run.fold_of(dataset) is not None and split in FOLDED_SPLITS
    if split is not None and not is_fold:
        dataset.require_splits(split)
