"""``tools/show`` and the console script ``shard-show``."""

from pathlib import Path

import click

from pipeline.options import Command
from tools.commands import needs_packages


@click.command(cls=Command, name="show", context_settings={"show_default": True})
@click.argument("shards", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("shards.png"),
    metavar="PNG",
    help="File to draw the picture into.",
)
@click.option("--split", help="Split of the contact sheet.  [default: the first]")
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, help="Seed for choosing the samples."
)
@click.option("--all-classes", is_flag=True, help="List every class.")
def main(shards: Path, out: Path, split: str | None, seed: int, all_classes: bool) -> None:
    """Summarize the shard directory SHARDS.

    Prints its splits, classes and image sizes, the options it was made with, and why sources were
    rejected. Draws one picture: a contact sheet of samples, and histograms of image sizes, bytes
    and classes.
    """
    from tools.workers import start_fork_server

    start_fork_server(("tools.showing.thumbnails",))
    with needs_packages():
        from tools.showing.show import show_shards
    show_shards(shards, out=out, split=split, seed=seed, all_classes=all_classes)


if __name__ == "__main__":
    main(prog_name="tools/show")
