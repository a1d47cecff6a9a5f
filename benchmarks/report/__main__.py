"""bench-report: results and runs -> one page that says what the limit is, with proof."""

from pathlib import Path

import click

from benchmarks.measuring.config import FROM_ENVIRONMENT
from pipeline.errors import DataError


@click.command(context_settings=FROM_ENVIRONMENT)
@click.argument("results", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("report"),
    show_default=True,
    help="Folder for report.html, and report.md with its pictures.",
)
@click.option(
    "--verify",
    is_flag=True,
    help="Write nothing, but check that no result was edited since it was measured.",
)
def main(results: tuple[Path, ...], out: Path, verify: bool) -> None:
    """Make one page of RESULTS: files that bench-loader, bench-compute, bench-scaling and
    bench-predict wrote with --output, folders of training runs, and folders that hold such files
    and runs."""
    if verify:
        _verify(results)
        return

    from benchmarks.report.inputs import read_inputs

    inputs = read_inputs(results)

    # matplotlib takes a second to import: --help and --verify don't wait for it.
    from benchmarks.report.page import write_page
    from benchmarks.report.sections import build_page

    page = build_page(inputs)
    html, markdown = write_page(page, out)
    click.echo(f"{page.verdict}\nThe page: {html.resolve()}\nIn Markdown: {markdown.resolve()}")
    if page.absent:
        click.echo(page.absent)


def _verify(paths: tuple[Path, ...]) -> None:
    """A line for each; all are looked at before it ends."""
    from benchmarks.report.inputs import expand

    refused, found = 0, expand(paths)
    for path in found:
        try:
            click.echo(_verified(path))
        except DataError as error:
            click.echo(error.format_message(), err=True)
            refused += 1
    if refused:
        raise DataError(f"{refused} of {len(found)} can't be trusted.")


def _verified(path: Path) -> str:
    """What is to be said of a sound result or run; raises ``DataError`` for another."""
    from benchmarks.measuring.result_file import read_bundle
    from trainer.run.metrics_reader import read_records

    if path.is_dir():
        read_records(path)
        return f"{path} is the folder of a run: those have no seal."
    return f"{path} is as it was measured: {read_bundle(path)['sha256']}"


if __name__ == "__main__":
    main()
