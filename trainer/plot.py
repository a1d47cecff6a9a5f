"""``python -m trainer.plot``: the curves of several runs in one figure."""

from pathlib import Path

import click

from pipeline.console import print_line
from pipeline.errors import MisuseError
from pipeline.options import Command

FORMATS = (".png", ".svg", ".pdf")


@click.command(cls=Command)
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("runs.png"),
    show_default=True,
    help="File to write: .png, .svg or .pdf.",
)
def main(runs: tuple[Path, ...], out: Path) -> None:
    """Draw loss, score, learning rate, throughput and the wait for data of RUNS, directories that
    the trainer wrote or folders of them, against samples and against wall time."""
    if out.suffix not in FORMATS:
        raise MisuseError(f"--out {out}: the name must end with {', '.join(FORMATS)}.")
    if not out.parent.is_dir():
        raise MisuseError(f"--out {out}: there is no folder {out.parent}: create it.")

    # matplotlib takes a second to import: neither --help nor a wrong argument waits for it.
    from trainer.plotting.curves import expand_folders, headline, open_runs

    directories = expand_folders(runs)
    opened = open_runs(directories)

    from trainer.plotting.figure import draw_runs

    draw_runs(opened, out)
    if directories != list(runs):
        print_line(f"Runs: {', '.join(map(str, directories))}.")
    print_line(f"{headline(opened)}.\nFigure: {out.resolve()}")


if __name__ == "__main__":
    main(prog_name="python -m trainer.plot")
