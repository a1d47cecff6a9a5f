"""``python -m trainer.evaluate --run runs/x``: evaluate a checkpoint of a run, class by class.

Under torchrun the ranks share the split and get the same counts as one rank:
``torchrun --nproc_per_node 4 -m trainer.evaluate runs/x``.
"""

from dataclasses import dataclass
from typing import Any

import click

from pipeline.options import Command, options, pick_fields, setting
from trainer.distributed.exit import check_first, entry
from trainer.first_checks import check_runs, check_split
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
    with --fold are evaluated together, each on the fold that it holds out.

    Prints the metrics, the scores of each class and the most frequent confusions; where stdout is a
    file or a pipe, its last line has all results as JSON. Writes per_class.csv, confusion.csv and
    worst.csv to the directory of the first run, and draws confusion.png and worst.png, the images
    with the highest losses; those of another split than val are in its folder of that name."""
    config = pick_fields(EvaluateConfig, with_arguments(runs, values))
    directories = config.directories
    check_first(lambda: _check(config))

    # torch and DALI take seconds to import: neither --help nor an error above waits for them.
    from trainer.evaluation.evaluate_run import evaluate_runs

    evaluate_runs(
        directories,
        checkpoint=config.checkpoint,
        shards=config.shards,
        split=config.split,
        device=config.device,
        trust=config.trust,
    )


def _check(config: EvaluateConfig) -> None:
    for run in check_runs(config.directories, config.checkpoint, config.trust):
        check_split(run, config.shards, config.split)


if __name__ == "__main__":
    entry(main)
