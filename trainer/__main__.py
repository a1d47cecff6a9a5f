"""``python -m trainer``, or ``torchrun --nproc_per_node 4 -m trainer`` for several ranks."""

import os
from typing import Any

import click

from pipeline.options import Command, options
from pipeline.profile_file import profile_file
from trainer.config import CONFIGS, Settings
from trainer.endings import leave_quietly, leave_saying
from trainer.recipes import recipe_option


@click.command(cls=Command)
@recipe_option
@profile_file
@options(*CONFIGS)
def main(**values: Any) -> None:
    """Train a torchvision model on a directory of shards."""
    settings = Settings.of(**values)

    # torch and DALI take seconds to import: neither --help nor a misspelt option waits for them.
    from trainer.train import run

    run(settings)


def entry(command: click.Command = main) -> None:
    """Run a command; what is wrong with its arguments is so on all ranks, and one says it."""
    try:
        command(standalone_mode=False)
    except click.UsageError as error:
        if os.environ.get("RANK", "0") != "0":
            leave_quietly(error.exit_code)
        leave_saying(error)
    except click.ClickException as error:
        leave_saying(error)
    except click.Abort:
        raise SystemExit(130) from None


if __name__ == "__main__":
    entry()
