"""``tools/check`` and the console script ``shard-check``."""

from pathlib import Path

import click

from pipeline.machine_limits import available_cores
from pipeline.options import Command
from tools.commands import needs_packages


@click.command(cls=Command, name="check")
@click.argument("shards", type=click.Path(path_type=Path))
@click.option("--decode", is_flag=True, help="Also decode every image and mask.")
@click.option(
    "--workers", type=click.IntRange(min=1), help="Worker processes.  [default: one per core]"
)
@click.option(
    "--findings",
    type=click.IntRange(min=0),
    default=100,
    show_default=True,
    help="Findings to print; further ones are only counted.",
)
def main(shards: Path, decode: bool, workers: int | None, findings: int) -> None:
    """Verify the shard directory SHARDS.

    Reads every byte and compares checksums, tars, indices, labels and dataset.json. Prints a line
    for each finding, with the file and, for a damaged sample, its key and its source. Exits with 1
    if there is any.
    """
    from tools.workers import start_fork_server

    start_fork_server(("tools.checking.images", "tools.checking.tars"))
    with needs_packages():
        from tools.checking.check import check_shards
    check_shards(shards, decode=decode, workers=workers or available_cores(), limit=findings)


if __name__ == "__main__":
    main(prog_name="tools/check")
