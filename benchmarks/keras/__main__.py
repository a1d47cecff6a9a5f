"""The trainer with Keras's steps: ``python -m benchmarks.keras``, under torchrun on several ranks.

It runs where Keras is installed; ``benchmarks.measuring.virtualenvs`` makes such a place.
"""

from dataclasses import dataclass
from typing import Any, Literal

import click

from pipeline.options import Command, options, pick_fields, setting
from pipeline.profile_file import profile_file
from trainer.config import CONFIGS, Settings
from trainer.distributed.exit import entry
from trainer.recipes import recipe_option


@dataclass(frozen=True, kw_only=True)
class KerasConfig:
    backend: Literal["tensorflow", "torch"] = setting("tensorflow", "What Keras computes with.")
    feed: Literal["shardline", "tf.data"] = setting(
        "shardline", "What reads, decodes and augments in training; validation is shardline's."
    )


@click.command(cls=Command)
@recipe_option
@profile_file
@options(KerasConfig, *CONFIGS)
def main(**values: Any) -> None:
    """Train a torchvision ResNet on a directory of shards by Keras's steps, on the CPU."""
    settings, config = Settings.from_options(**values), pick_fields(KerasConfig, values)

    from benchmarks.keras.job import keras_job
    from trainer.train import run

    run(settings, customize=lambda job: keras_job(job, backend=config.backend, feed=config.feed))


if __name__ == "__main__":
    entry(main)
