"""``python -m trainer.evaluate --run runs/x``: evaluate a checkpoint of a run, class by class.

Under torchrun the ranks share the split and get the same counts as one rank:
``torchrun --nproc_per_node 4 -m trainer.evaluate runs/x``.
"""

from dataclasses import dataclass
from typing import Any

import click

from pipeline.options import Command, options, pick_fields, setting
from trainer.distributed.exit import entry
from trainer.run.run_choice import RunsOnDevice, run_arguments, with_arguments


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig(RunsOnDevice):
    """Options of the command."""

    shards: str | None = setting(
        None, "Other shards with the same classes or targets.  [default: those of the run]"
    )
    split: str = setting(
        "val", "Split to evaluate; val of a run with --fold is the fold that is held out."
    )


@click.command(cls=Command)
@run_arguments
@options(EvaluateConfig)
def main(runs: tuple[str, ...], **values: Any) -> None:
    """Evaluate a checkpoint of a run on a split, with the run's --precision and --tta. Several runs
    with --fold are evaluated together, each on the fold that it holds out. Prints a table, and all
    results as JSON in the last line; draws a confusion matrix to confusion.png in the directory of
    the first run if there are classes."""
    config = pick_fields(EvaluateConfig, with_arguments(runs, values))
    directories = config.directories

    # torch and DALI take seconds to import: neither --help nor a misspelt option waits for them.
    from trainer.evaluation.evaluate_run import evaluate_runs
    from trainer.model.sources.stored_file import trust_of

    evaluate_runs(
        directories,
        checkpoint=config.checkpoint,
        shards=config.shards,
        split=config.split,
        device=config.device,
        trust=trust_of(config.model, stored=config.trust_model),
    )


if __name__ == "__main__":
    entry(main)
