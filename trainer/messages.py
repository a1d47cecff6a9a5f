"""Messages of a run: at its start, and when it stops early."""

import signal
from typing import Any

import click
from torch.nn.modules.batchnorm import _BatchNorm

from pipeline.errors import DataError
from pipeline.fold_index import describe_part, open_folds
from pipeline.progressive_resize import all_sizes
from pipeline.text import plural
from trainer.checkpoints.retention import recovery_advice
from trainer.data import TrainingData
from trainer.files import BEST_NAME
from trainer.log_config import TRACKERS
from trainer.micro_batches import MicroBatches
from trainer.model.precision import precision_line
from trainer.resolve import RESOLVED
from trainer.run.run_dir import NONFINITE_NAME, write_rows
from trainer.tasks.metric_names import metric_text
from trainer.training_run import TrainingRun

# Settings whose change the startup message of a resumed run does not list.
UNCHECKED_SETTINGS = {
    *("out", "resume", "shards", "device", "threads", "prefetch", "read_ahead"),
    *("cache", "cache_dir", "cache_size", "gpu_batches", "stall_timeout"),
    *("checkpoint_minutes", "keep_checkpoints", "rank_timeout", "profile", "show_batch"),
    *TRACKERS,
}


def startup_message(run: TrainingRun) -> str:
    """A description of the run, a sentence per line."""
    recipe, world, data = run.settings.recipe, run.world, run.data
    parameters = sum(parameter.numel() for parameter in run.model.parameters())
    lines = [
        f"Training {recipe.model} ({parameters / 1e6:.1f} M parameters) on {data.samples:,} "
        f"samples with {run.task.describe()}: {data.image_size_px} px, {_length(run)}, global "
        f"batch size {recipe.global_batch_size}.",
        f"{world.world_size} rank(s) on {world.device.type}, {world.threads} thread(s) per rank, "
        f"{run.resolved['dtype'].removeprefix('torch.')}; {_source(data)}run directory "
        f"{run.run_dir.path}.",
        *machine_lines(run),
        *micro_batches_lines(run),
        *run.notes,
    ]
    if data.dataset is not None and run.settings.pipeline.fold:
        pipeline = run.settings.pipeline
        lines.append(open_folds(data.dataset, pipeline.fold, pipeline.seed).describe())
    if data.dataset is not None and run.settings.pipeline.train_samples:
        lines.append(describe_part(data.dataset, run.settings.pipeline))
    if not data.has_val:
        lines.append("The shards have no validation split: there will be no evaluation.")
    if run.checkpoint:
        lines.append(f"Resuming from {run.run_dir.resume_from} at epoch {run.epoch:.2f}.")
        lines += _changes(run.checkpoint.config, run.settings.to_dict())
        if run.time_budget.ended:
            flag = "--max-minutes" if run.time_budget.is_timed else "--epochs"
            lines.append(f"The run is already complete: raise {flag} to continue training.")
    return "\n".join(lines)


def _source(data: TrainingData) -> str:
    return "" if data.dataset is None else f"shards {data.dataset.location}; "


def machine_lines(run: TrainingRun) -> list[str]:
    """What --precision auto chose on an older GPU, and how often --compile compiles."""
    machine, pipeline = run.settings.machine, run.settings.pipeline
    precision = precision_line(machine.precision, run.world.device, run.dtype)
    lines = [precision] if precision else []
    if machine.compile != "none" and pipeline.progressive_resize:
        sizes = all_sizes(*pipeline.progressive_resize, epochs=pipeline.progressive_epochs)
        lines.append(
            f"--compile {machine.compile} compiles the model at the first step of each image size: "
            f"{', '.join(map(str, sizes))} px."
        )
    return lines


def micro_batches_lines(run: TrainingRun) -> list[str]:
    """With which micro-batches --accumulate-steps auto begins; empty without it."""
    found = run.train_step.micro_batches
    if found is None:
        return []
    return [
        f"Each rank computes the {plural(found.batch_size, 'image')} of a step "
        f"{_in_micro_batches(found)}, and in smaller parts after a step has run out of memory "
        f"(--accumulate-steps auto)."
    ]


def micro_batches_message(run: TrainingRun, found: MicroBatches) -> str:
    """That a step ran out of memory, and what has changed."""
    step = run.progress.position // run.settings.recipe.global_batch_size
    norms = any(isinstance(module, _BatchNorm) for module in run.model.modules())
    seen = f", so batch norm sees {plural(found.size, 'image')} at a time" if norms else ""
    return (
        f"Step {step} ran out of memory: from it on each rank computes the "
        f"{plural(found.batch_size, 'image')} of a step {_in_micro_batches(found)}{seen}; the "
        f"batch of a step and its learning rate stay. Next time give --accumulate-steps "
        f"{found.count}."
    )


def _in_micro_batches(found: MicroBatches) -> str:
    if found.count == 1:
        return "at once"
    return f"in {found.count} micro-batches of {found.size}"


def _length(run: TrainingRun) -> str:
    minutes = run.settings.run.max_minutes
    if minutes is None:
        return f"{run.settings.recipe.epochs:g} epochs"
    spent = run.time_budget.spent_seconds / 60
    return f"{minutes:g} minutes" + (f" ({spent:.2f} already spent)" if spent else "")


def _changes(saved: dict[str, Any], current: dict[str, Any]) -> list[str]:
    return [
        f"Changed since the checkpoint: {name} {saved[name]} -> {value}."
        for name, value in current.items()
        # A checkpoint of an earlier version lacks the options that came later, and does not say
        # what followed from the data.
        if name in saved and saved[name] not in (value, None if name in RESOLVED else value)
        if name not in UNCHECKED_SETTINGS
    ]


def stop_message(run: TrainingRun, signal_number: int) -> str:
    """Which signal stopped the run, and how to resume it."""
    return (
        f"Stopped by {signal.Signals(signal_number).name} at epoch {run.epoch:.2f}, saved to "
        f"{run.run_dir.checkpoint}. Repeat the command with --out {run.run_dir.path} to resume."
    )


def ended_by(run: TrainingRun) -> str:
    """The option, by its name in config.json, that ended the run."""
    if run.reached_target:
        return "target_top1"
    if run.is_out_of_patience and not run.time_budget.ended:
        return "patience"
    return "max_minutes" if run.time_budget.is_timed else "epochs"


def end_message(run: TrainingRun) -> str | None:
    """Why the run ended before its planned end; None if it did not."""
    settings, progress = run.settings.run, run.progress
    if run.reached_target:
        return (
            f"Top-1 accuracy reached --target-top1 {settings.target_top1:g} at epoch "
            f"{run.epoch:.2f}."
        )
    best = progress.best.get(run.task.primary_metric)
    if ended_by(run) != "patience" or progress.best_position is None or best is None:
        return None
    name, value = metric_text(run.task.primary_metric, best)
    return (
        f"Ended by --patience {settings.patience} at epoch {run.epoch:.2f}: no evaluation has a "
        f"better {name} than {value} at epoch {progress.best_position / run.data.samples:.2f}, "
        f"saved to {run.run_dir.path / BEST_NAME}. Raise --patience to continue training."
    )


# The file lists the others.
NAMED_SAMPLES = 3


def nonfinite_loss_error(run: TrainingRun, position: int) -> click.ClickException:
    """The error for a loss of nan or inf in the step that ends at `position`. Rank 0 also writes
    nonfinite.csv, the samples of the step. All ranks must call this."""
    size = run.settings.recipe.global_batch_size
    samples = _describe_samples(run, position - size, position)
    if run.world.rank == 0:
        rows = ((sample,) for sample in ("sample", *samples))
        write_rows(run.run_dir.path / NONFINITE_NAME, rows)
    named = ", ".join(samples[:NAMED_SAMPLES]) or "synthetic samples"
    more = len(samples) - NAMED_SAMPLES
    return DataError(
        f"The loss was nan or inf in step {position // size} of the run (epoch "
        f"{position / run.data.samples:.2f}), with {named}"
        + (f" and {more} more, listed in {NONFINITE_NAME}. " if more > 0 else ". ")
        + recovery_advice(run.run_dir.checkpoint)
    )


def _describe_samples(run: TrainingRun, position: int, end_position: int) -> list[str]:
    """Shard and key of the samples of one step, over all ranks."""
    index = run.data.train
    if index is None:
        return []
    batches = run.batches(position, end_position)
    with batches:
        samples = [index.describe(int(sample)) for batch in batches for sample in batch.samples]
    return run.world.all_gather_objects(samples)
