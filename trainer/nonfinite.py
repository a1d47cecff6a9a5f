"""What is said when the loss became nan or inf."""

import click

from pipeline.errors import DataError
from trainer.data import train_batches
from trainer.job import Job
from trainer.runs import NONFINITE_NAME, write_nonfinite
from trainer.saver import advice

# More are left to the file.
NAMED_SAMPLES = 3


def nonfinite_loss(job: Job, position: int) -> click.ClickException:
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


def _samples(job: Job, position: int, end_position: int) -> list[str]:
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
    return job.world.gather_rows(own)
