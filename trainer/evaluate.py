"""``python -m trainer.evaluate --run runs/x``: a run's checkpoint on a split, class by class.

Under torchrun the ranks share the split, and their counts are those of one rank:
``torchrun --nproc_per_node 4 -m trainer.evaluate runs/x``, since torchrun takes --run for an option
of its own.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from pipeline.errors import MisuseError
from pipeline.options import options, pick_fields, setting
from trainer.distributed.exit import entry


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    run: str | None = setting(None, "Directory of the run, the trainer's --out.")
    checkpoint: str | None = setting(
        None,
        "A checkpoint of the run, runs/x/best.pt for one, which also names the run.  [default: the "
        "newest]",
        metavar="FILE",
    )
    shards: str | None = setting(
        None, "Other shards of the same classes or targets.  [default: those of the run]"
    )
    split: str = setting("val", "Split to evaluate.")
    device: str = setting(
        "auto",
        "auto: a GPU for each rank where there is CUDA.",
        type=click.Choice(["auto", "cpu", "cuda"]),
    )


@click.command()
@click.argument("directory", required=False)
@options(EvaluateConfig)
def main(directory: str | None, **values: Any) -> None:
    """Evaluate a run's checkpoint on a split, in the run's precision and with its --tta flip: a
    table, confusion.png in the run where there are classes, and all figures as JSON in the last
    line. DIRECTORY is another way to give --run."""
    config = pick_fields(EvaluateConfig, values)
    given = {directory, config.run} - {None}
    if config.checkpoint:
        given = given or {str(Path(config.checkpoint).parent)}
    if len(given) != 1:
        raise MisuseError("Give the directory of one run: --run runs/x.")

    # torch and DALI take seconds to import: neither --help nor a misspelt option waits for them.
    from trainer.evaluation.evaluate_run import evaluate_run

    evaluate_run(
        str(*given),
        checkpoint=config.checkpoint,
        shards=config.shards,
        split=config.split,
        device=config.device,
    )


if __name__ == "__main__":
    entry(main)
