"""``tools/check`` and the console script ``shard-check``."""

from pathlib import Path

import click

from pipeline.errors import MisuseError
from pipeline.options import Command
from pipeline.text import join_names
from tools.commands import needs_packages


@click.command(cls=Command, name="check")
@click.argument("shards", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("--decode", is_flag=True, help="Also decode every image and mask.")
@click.option(
    "--duplicates",
    is_flag=True,
    help="Look for equal images instead, in all splits of one or several SHARDS.",
)
@click.option(
    "--near-duplicates",
    is_flag=True,
    help="The same, and for pairs of images that look nearly the same, which decodes each.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="Worker processes.  [default: one per core, at most one for each half GiB of free memory]",
)
@click.option(
    "--findings",
    type=click.IntRange(min=0),
    default=100,
    show_default=True,
    help="Findings to print; further ones are only counted.",
)
def main(
    shards: tuple[Path, ...],
    decode: bool,
    duplicates: bool,
    near_duplicates: bool,
    workers: int | None,
    findings: int,
) -> None:
    """Verify the shard directory SHARDS.

    Reads every byte and compares checksums, tars, indices, labels and dataset.json. Prints a line
    for each finding, with the file and, for a damaged sample, its key and its source. Exits with 1
    if there is any. With --duplicates it reads the images only and exits with 0.
    """
    from tools.workers import default_workers, start_fork_server

    start_fork_server(("tools.checking.images", "tools.checking.tars"))
    count, looks_for_duplicates = workers or default_workers(), duplicates or near_duplicates
    if looks_for_duplicates and decode:
        raise MisuseError("--decode and --duplicates exclude each other: run one after the other.")
    if len(shards) > 1 and not looks_for_duplicates:
        raise MisuseError(
            f"{len(shards)} directories: check one after the other, or pass --duplicates to look "
            f"for images that are in several of them."
        )
    if len({one.resolve() for one in shards}) < len(shards):
        raise MisuseError(
            f"A directory is given twice ({join_names(list(map(str, shards)))}), so all its images "
            f"would be duplicates: give each once."
        )
    with needs_packages():
        from tools.checking.check import check_shards
        from tools.checking.duplicates import print_duplicates
    if looks_for_duplicates:
        print_duplicates(shards, near=near_duplicates, workers=count, limit=findings)
    else:
        check_shards(shards[0], decode=decode, workers=count, limit=findings)


if __name__ == "__main__":
    main(prog_name="tools/check")
