"""``tools/check`` and the console script ``shard-check``."""

from pathlib import Path

import click

from pipeline.machine import available_cores
from tools.commands import interruptible, needs_packages


@click.command(name="check")
@click.argument("shards", type=click.Path(path_type=Path))
@click.option("--decode", is_flag=True, help="Decode every image and mask, too.")
@click.option(
    "--workers", type=click.IntRange(min=1), help="Processes that read.  [default: every core]"
)
@click.option(
    "--findings",
    type=click.IntRange(min=0),
    default=100,
    show_default=True,
    help="Lines to print; what is found beyond is counted.",
)
def main(shards: Path, decode: bool, workers: int | None, findings: int) -> None:
    """Verify that the folder SHARDS holds what tools/shard wrote.

    Reads every byte: checksums, tars, indices, labels, and what dataset.json says of them. Each
    finding is a line that names the file and, where it is one, the sample and the source it came
    from. Ends with exit code 1 if there is any.
    """
    with interruptible():
        from tools.workers import start_fork_server

        start_fork_server(("tools.checking.images", "tools.checking.tars"))
        with needs_packages():
            from tools.checking.check import check_shards
        check_shards(shards, decode=decode, workers=workers or available_cores(), limit=findings)


if __name__ == "__main__":
    main(prog_name="tools/check")
