"""The trainer with Keras's steps: ``python -m benchmarks.keras``, by torchrun on several ranks.

It needs Keras: ``benchmarks.measuring.virtualenvs.prepare_keras`` creates a virtualenv with it.
"""

from dataclasses import dataclass
from typing import Any, Literal

import click

from pipeline.explicit_options import given_options
from pipeline.options import Command, options, pick_fields, setting
from pipeline.settings_file import profile_file
from trainer.config import CONFIGS, Settings
from trainer.distributed.exit import check_first, entry
from trainer.first_checks import check_training
from trainer.recipes import recipe_option


@dataclass(frozen=True, kw_only=True)
class KerasConfig:
    backend: Literal["tensorflow", "torch"] = setting("tensorflow", "Backend of Keras.")
    feed: Literal["shardline", "tf.data"] = setting(
        "shardline", "Loader of the training batches; validation batches are shardline's."
    )


@click.command(cls=Command)
@recipe_option
@profile_file
@options(KerasConfig, *CONFIGS)
@click.pass_context
def main(context: click.Context, /, **values: Any) -> None:
    """Train a torchvision ResNet on a directory of shards with Keras, on the CPU."""
    settings = Settings.from_options(**given_options(context, values))
    config = pick_fields(KerasConfig, values)
    check_first(lambda: check_training(settings))

    from benchmarks.keras.run import use_keras
    from trainer.train import run as train

    train(settings, customize=lambda run: use_keras(run, backend=config.backend, feed=config.feed))


if __name__ == "__main__":
    entry(main)
