"""The sentences that a run begins with, and those that it ends with early."""

import signal
from typing import Any

import click

from pipeline.errors import DataError
from trainer.checkpoints.retention import advice
from trainer.data import train_batches
from trainer.run.run_dir import NONFINITE_NAME, write_nonfinite
from trainer.setup import TrainingRun

# Settings that may change on the way without a word.
UNREMARKABLE = {
    *("out", "resume", "shards", "device", "threads", "prefetch", "read_ahead"),
    *("cache", "cache_dir", "cache_size", "stall_timeout"),
    *("checkpoint_minutes", "keep_checkpoints", "rank_timeout", "tensorboard", "profile"),
}


def greeting(job: TrainingRun) -> str:
    """What is about to run, in a sentence a line."""
    recipe, world, data = job.settings.recipe, job.world, job.data
    parameters = sum(parameter.numel() for parameter in job.model.parameters())
    lines = [
        f"{recipe.model}, {parameters / 1e6:.1f} M parameters, on {data.samples:,} samples of "
        f"{job.task.describe()} at {data.image_size_px} px, {_length(job)} in "
        f"batches of {recipe.global_batch_size}.",
        f"{world.world_size} rank(s) on {world.device.type}, {world.threads} thread(s) each, "
        f"{job.resolved['dtype'].removeprefix('torch.')}; files in {job.place.directory}.",
    ]
    lines += job.notes
    if not data.has_val:
        lines.append("There is no validation split: nothing will be evaluated.")
    if job.checkpoint:
        lines.append(f"Going on from {job.place.resumed} at epoch {job.epoch:.2f}.")
        lines += _changes(job.checkpoint.config, job.settings.to_dict())
        if job.horizon.ended:
            flag = "--max-minutes" if job.horizon.is_timed else "--epochs"
            lines.append(f"There is nothing left to do: raise {flag} to train on.")
    return "\n".join(lines)


def _length(job: TrainingRun) -> str:
    minutes = job.settings.run.max_minutes
    if minutes is None:
        return f"to epoch {job.settings.recipe.epochs:g}"
    spent = job.horizon.spent_seconds / 60
    return f"for {minutes:g} minutes" + (f", {spent:.2f} of them spent," if spent else "")


def _changes(saved: dict[str, Any], current: dict[str, Any]) -> list[str]:
    return [
        f"Changed since it was saved: {name} {saved.get(name)} -> {value}."
        for name, value in current.items()
        if saved.get(name) != value and name not in UNREMARKABLE
    ]


def farewell(job: TrainingRun, signal_number: int) -> str:
    """Why the run ends early, and how to go on."""
    return (
        f"Stopped by {signal.Signals(signal_number).name} at epoch {job.epoch:.2f}, saved in "
        f"{job.place.checkpoint}. The same command with --out {job.place.directory} goes on "
        f"from there."
    )


# More are left to the file.
NAMED_SAMPLES = 3


def nonfinite_loss(job: TrainingRun, position: int) -> click.ClickException:
    """The step that ends at `position`, its samples and where to go on; all ranks call this."""
    size = job.settings.recipe.global_batch_size
    samples = _samples(job, position - size, position)
    if job.world.rank == 0:
        write_nonfinite(job.place.directory, samples)
    named = ", ".join(samples[:NAMED_SAMPLES]) or "synthetic samples"
    others = len(samples) - NAMED_SAMPLES
    return DataError(
        f"The loss was nan or inf in step {position // size} of the run (epoch "
        f"{position / job.data.samples:.2f}), made of {named}"
        + (f" and {others} others, listed in {NONFINITE_NAME}. " if others > 0 else ". ")
        + advice(job.place.checkpoint)
    )


def _samples(job: TrainingRun, position: int, end_position: int) -> list[str]:
    """Where the samples of one step lie, over all ranks."""
    if job.data.dataset is None:
        return []
    batches = train_batches(
        job.data,
        job.settings.pipeline,
        job.world,
        global_batch_size=job.settings.recipe.global_batch_size,
        position=position,
        end_position=end_position,
    )
    index = job.data.dataset.split("train")
    with batches:
        own = [index.describe(int(sample)) for batch in batches for sample in batch.samples]
    return job.world.all_gather_objects(own)
