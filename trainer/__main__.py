"""``python -m trainer``, or ``torchrun --nproc_per_node 4 -m trainer`` for several ranks."""

from typing import Any

import click

from pipeline.options import Command, options
from pipeline.settings_file import profile_file
from trainer.config import CONFIGS, Settings
from trainer.distributed.exit import entry
from trainer.recipes import recipe_option


@click.command(cls=Command)
@recipe_option
@profile_file
@options(*CONFIGS)
def main(**values: Any) -> None:
    """Train a model on a directory of shards."""
    settings = Settings.from_options(**values)

    # torch and DALI take seconds to import: neither --help nor a misspelt option waits for them.
    from trainer.train import run

    run(settings)


if __name__ == "__main__":
    entry(main)
