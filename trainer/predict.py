"""``python -m trainer.predict --run runs/x``: predict the samples of a split, or image files.

Under torchrun the ranks share the samples and write the same file as one rank, up to the last bits
of a number:
``torchrun --nproc_per_node 4 -m trainer.predict runs/x``.
"""

from typing import Any

import click

from pipeline.options import Command, options, pick_fields
from trainer.distributed.exit import check_first, entry
from trainer.first_checks import check_runs, check_split
from trainer.prediction.config import PredictConfig
from trainer.prediction.source_files import source_files
from trainer.run.run_choice import run_arguments, with_arguments


@click.command(cls=Command)
@run_arguments
@options(PredictConfig)
def main(runs: tuple[str, ...], **values: Any) -> None:
    """Predict the samples of a split with a checkpoint of a run, every sample once. Several runs
    with the same classes are averaged. Prints where the predictions are; where stdout is a file or
    a pipe, its last line has the facts as JSON."""
    config = pick_fields(PredictConfig, with_arguments(runs, values))
    check_first(lambda: _check(config))

    # torch and DALI take seconds to import: neither --help nor an error above waits for them.
    from trainer.prediction.predict_runs import predict_runs

    predict_runs(config)


def _check(config: PredictConfig) -> None:
    first, *_ = check_runs(config.directories, config.checkpoint, config.trust)
    if config.src is None:
        check_split(first, config.shards, config.split)
    else:
        check_split(first, config.shards, None)
        source_files(config.src)


if __name__ == "__main__":
    entry(main)
