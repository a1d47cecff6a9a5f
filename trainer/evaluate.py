"""``python -m trainer.evaluate --run runs/x``: evaluate a checkpoint of a run, class by class.

Under torchrun the ranks share the split and get the same counts as one rank:
``torchrun --nproc_per_node 4 -m trainer.evaluate runs/x``, without --run, which torchrun takes for
an option of its own.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import click

from pipeline.errors import MisuseError
from pipeline.options import options, setting
from trainer.distributed.exit import entry


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    run: str | None = setting(None, "Directory of the run, --out of the trainer.")
    checkpoint: str | None = setting(
        None,
        "Checkpoint of the run, such as runs/x/best.pt, which also gives the run.  [default: the "
        "newest]",
        metavar="FILE",
    )
    shards: str | None = setting(
        None, "Other shards with the same classes or targets.  [default: those of the run]"
    )
    split: str = setting(
        "val", "Split to evaluate; val of a run with --fold is the fold that is held out."
    )
    device: Literal["auto", "cpu", "cuda"] = setting(
        "auto", "auto: one GPU per rank if CUDA is available, else the CPU."
    )


@click.command()
@click.argument("directory", required=False)
@options(EvaluateConfig)
def main(directory: str | None, run: str | None, checkpoint: str | None, **values: Any) -> None:
    """Evaluate a checkpoint of a run on a split, with the run's --precision and --tta. Prints a
    table, and all results as JSON in the last line; draws a confusion matrix to confusion.png in
    the run's directory if there are classes. DIRECTORY is another way to give --run."""
    directories = {directory, run} - {None}
    if checkpoint:
        directories = directories or {str(Path(checkpoint).parent)}
    if len(directories) != 1:
        raise MisuseError("Give the directory of one run: --run runs/x.")

    # torch and DALI take seconds to import: neither --help nor a misspelt option waits for them.
    from trainer.evaluation.evaluate_run import evaluate_run

    evaluate_run(str(*directories), checkpoint=checkpoint, **values)


if __name__ == "__main__":
    entry(main)
