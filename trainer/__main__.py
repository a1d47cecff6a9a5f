"""``python -m trainer``, or ``torchrun --nproc_per_node 4 -m trainer`` for several ranks."""

from typing import Any

import click

from pipeline.explicit_options import given_options
from pipeline.options import Command, options, pick_fields
from pipeline.settings_file import profile_file
from trainer.config import CONFIGS, Settings
from trainer.distributed.exit import check_first, entry
from trainer.find_lr_options import FindLrConfig, require_no_run
from trainer.first_checks import check_training
from trainer.recipes import recipe_option


@click.command(cls=Command)
@recipe_option
@profile_file
@options(*CONFIGS, FindLrConfig)
@click.pass_context
def main(context: click.Context, /, **values: Any) -> None:
    """Train a model on a directory of shards."""
    settings = Settings.from_options(**given_options(context, values))
    finding = pick_fields(FindLrConfig, values)
    if finding.find_lr:
        check_first(lambda: require_no_run(settings.run))
    check_first(lambda: check_training(settings))

    # torch and DALI take seconds to import: neither --help nor an error above waits for them.
    if finding.find_lr:
        from trainer.find_lr import find_learning_rate

        find_learning_rate(settings, finding)
    else:
        from trainer.train import run

        run(settings)


if __name__ == "__main__":
    entry(main)
