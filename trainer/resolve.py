"""The settings of a run without open choices: what is not given follows from the data, and in a
resumed run stays as it was."""

import math
from collections.abc import Mapping
from typing import Any

from pipeline.config import PipelineConfig
from pipeline.errors import DataError, MisuseError
from pipeline.options import flag_of
from pipeline.plan.folds import parse_fold
from pipeline.plan.part import parse_train_samples, part_size
from trainer.checkpoints.checkpoint_file import load_checkpoint
from trainer.checkpoints.progress import Identity
from trainer.config import RunConfig, Settings
from trainer.data import TrainingData, end_position, with_image_size
from trainer.data_defaults import (
    default_batch_size,
    default_epochs,
    default_evaluation_epochs,
    default_warmup_epochs,
)
from trainer.distributed.collectives import World
from trainer.model.sources.source import ModelSource
from trainer.recipe_config import REFERENCE_BATCH_SIZE, RecipeConfig
from trainer.run.run_dir import checkpoint_to_resume
from trainer.typed_values import typed_fields

# Settings that are chosen here if they are not given; the startup message lists the first ones.
LISTED = (
    *("global_batch_size", "epochs", "warmup_epochs"),
    *("val_every", "checkpoint_every", "image_size"),
)
RESOLVED = (*LISTED, "learning_rate", "lr_scaling")
# What checkpoints of earlier versions lack, with the meaning that it had for them.
EARLIER = {"lr_scaling": "linear"}


def resolve_run(
    settings: Settings, data: TrainingData, source: ModelSource, world: World
) -> tuple[Settings, TrainingData, list[str]]:
    """Settings without open choices, the data at their image size, and lines about them for the
    startup message; the same on any number of ranks, all of which must call this.

    Raises ``DataError`` and ``MisuseError`` on rank 0; the other ranks exit silently.
    """
    saved: Any = None
    with world.fail_together():
        path = checkpoint_to_resume(settings.run) if world.rank == 0 else None
        if path is not None:
            identity = run_identity(settings, data, source)
            saved = load_checkpoint(path, identity, data.earlier_fingerprints).config
    saved = world.broadcast(saved)
    with world.fail_together():
        resolved = resolve(settings, data, saved)
        lines = choice_lines(settings, resolved, data, is_resumed=saved is not None)
        lines += [rate_line(resolved), *check_batch(resolved, data.samples)]
    return resolved, with_image_size(data, resolved.pipeline), lines


def resolve(
    settings: Settings, data: TrainingData, saved: Mapping[str, Any] | None = None
) -> Settings:
    """`settings` with a value for each of RESOLVED: the given one, else that of the config `saved`
    by the run that is resumed, else the default for `data`.

    Raises ``DataError`` if a saved value has another type.
    """
    kept = {} if saved is None else _saved_values(EARLIER | dict(saved))
    options = settings.to_dict()
    given = {name: options[name] for name in RESOLVED if name in settings.given}
    given = {name: value for name, value in given.items() if value is not None}
    samples = _planned_samples(settings, data)
    epochs = float((kept | given).get("epochs", default_epochs(samples)))
    if "warmup_epochs" in kept:
        kept["warmup_epochs"] = min(kept["warmup_epochs"], epochs)
    every = default_evaluation_epochs(samples, epochs)
    defaults = {
        "global_batch_size": default_batch_size(samples),
        "epochs": epochs,
        "warmup_epochs": default_warmup_epochs(epochs),
        "val_every": every,
        "checkpoint_every": every,
        "image_size": data.image_size_px,
        "learning_rate": settings.recipe.resolved_learning_rate,
        "lr_scaling": settings.recipe.resolved_lr_scaling,
    }
    return settings.with_values(defaults | kept | given)


def _saved_values(saved: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of `saved` that are in RESOLVED and not open, with valid values."""
    values = {name: saved[name] for name in RESOLVED if saved.get(name) is not None}
    try:
        parts = [typed_fields(part, values) for part in (RecipeConfig, RunConfig, PipelineConfig)]
    except ValueError as error:
        raise DataError(
            f"The checkpoint has a setting that no run can have: {error}. Give another checkpoint "
            f"to --resume, or start a new run with another --out."
        ) from error
    chosen = {name: value for part in parts for name, value in part.items()}
    # Raises ``MisuseError`` for a number out of its range.
    Settings.from_options(**chosen)
    return chosen


def _planned_samples(settings: Settings, data: TrainingData) -> int:
    """Samples to train on, the same for all folds, though folds may differ by some samples."""
    fold, part = settings.pipeline.fold, settings.pipeline.train_samples
    if fold is None or data.val is None:
        return data.samples
    _, folds = parse_fold(fold)
    both = data.samples + len(data.val) if part is None else data.val.split.samples
    samples = max(1, both * (folds - 1) // folds)
    return samples if part is None else part_size(parse_train_samples(part), samples)


def check_batch(settings: Settings, samples: int) -> list[str]:
    """A warning if steps of the given --global-batch-size have more samples than there are.

    Raises ``MisuseError`` if a step has more samples than all epochs together.
    """
    size, epochs = settings.recipe.global_batch_size, settings.recipe.epochs
    if "global_batch_size" not in settings.given:
        return []
    is_timed = settings.run.max_minutes is not None
    positions = math.ceil(epochs * samples)
    if size > positions and not is_timed:
        raise MisuseError(
            f"--global-batch-size {size} is more than the {positions:,} samples of --epochs "
            f"{epochs:g} ({samples:,} training samples): lower it to {positions} or less, or raise "
            f"--epochs."
        )
    if size <= samples:
        return []
    warning = f"--global-batch-size {size} is more than the {samples:,} training samples"
    if is_timed:
        return [f"{warning}: each step has some of them twice."]
    end = end_position(epochs, samples=samples, global_batch_size=size)
    return [
        f"{warning}: --epochs {epochs:g} are {end // size} steps, which are {end / samples:.2f} "
        f"epochs."
    ]


def rate_line(settings: Settings) -> str:
    """The peak learning rate and where it is from."""
    recipe = settings.recipe
    peak, rate = f"{recipe.peak_learning_rate:.4g}", f"{recipe.resolved_learning_rate:g}"
    if recipe.resolved_lr_scaling == "none":
        return f"Peak learning rate {peak} (--learning-rate; --lr-scaling none)."
    return (
        f"Peak learning rate {peak}: --learning-rate {rate} times {recipe.global_batch_size} / "
        f"{REFERENCE_BATCH_SIZE} (--lr-scaling linear)."
    )


def choice_lines(
    settings: Settings, resolved: Settings, data: TrainingData, *, is_resumed: bool
) -> list[str]:
    """The values of `resolved` that are not given in `settings`, with their options."""
    is_timed = settings.run.max_minutes is not None
    names = [name for name in LISTED if not (is_timed and name in ("epochs", "warmup_epochs"))]
    options = resolved.to_dict()
    flags = [f"{flag_of(name)} {options[name]:g}" for name in names if name not in settings.given]
    if not flags:
        return []
    reason = "As before" if is_resumed else f"Chosen for {data.samples:,} training samples"
    return [f"{reason}: {', '.join(flags)}; each of these options chooses another value."]


def run_identity(settings: Settings, data: TrainingData, source: ModelSource) -> Identity:
    """What a checkpoint must share with a run by `settings` on `data`."""
    return Identity(
        fingerprint=data.fingerprint,
        seed=settings.pipeline.seed,
        model=source.identity,
        classes=data.classes,
        fold=settings.pipeline.fold,
        train_samples=settings.pipeline.train_samples,
    )
