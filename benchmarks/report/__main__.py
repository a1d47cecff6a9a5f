"""bench-report: one page of results and training runs."""

from pathlib import Path

import click

from benchmarks.measuring.config import FROM_ENVIRONMENT
from pipeline.console import print_line
from pipeline.errors import DataError
from pipeline.options import Command


@click.command(cls=Command, context_settings=FROM_ENVIRONMENT)
@click.argument("results", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("report"),
    show_default=True,
    help="Folder for report.html, report.md and the pictures of report.md.",
)
@click.option(
    "--verify",
    is_flag=True,
    help="Only check that no result was edited since it was measured; write nothing.",
)
def main(results: tuple[Path, ...], out: Path, verify: bool) -> None:
    """Write one page that states the bottleneck and shows the measurements behind it.

    RESULTS are files that bench-loader, bench-compute, bench-scaling and bench-predict wrote with
    --output, folders of training runs, or folders that contain such files and runs.
    """
    if verify:
        _verify(results)
        return

    # matplotlib takes a second to import: --help and --verify don't wait for it.
    from benchmarks.report.sections import write_report

    write_report(results, out)


def _verify(paths: tuple[Path, ...]) -> None:
    """Print a line for each; raise ``DataError`` after the last if any is invalid."""
    from benchmarks.measuring.result_file import read_bundle
    from benchmarks.report.inputs import expand
    from trainer.run.metrics_reader import read_records

    invalid, expanded = 0, expand(paths)
    for path in expanded:
        try:
            if path.is_dir():
                read_records(path)
                print_line(f"{path} is the folder of a run, which has no hash to verify.")
            else:
                print_line(f"{path} is unchanged: {read_bundle(path)['sha256']}")
        except DataError as error:
            print_line(error.format_message(), err=True)
            invalid += 1
    if invalid:
        raise DataError(f"{invalid} of {len(expanded)} inputs are invalid.")


if __name__ == "__main__":
    main()
