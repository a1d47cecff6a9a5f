"""bench-predict: predict scaling from measurements of one rank and a network."""

from pathlib import Path
from typing import Any

import click

from benchmarks.measuring.config import FROM_ENVIRONMENT
from benchmarks.predict.config import PredictConfig
from benchmarks.predict.networks import LINKS
from pipeline.console import print_line
from pipeline.options import Command, options, pick_fields


def _list_links(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        print_line("\n".join(map(str, LINKS.values())))
        context.exit()


@click.command(cls=Command, context_settings=FROM_ENVIRONMENT)
@click.argument("results", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--list-links",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_list_links,
    help="List the names of known links with their bandwidth, latency and source, and exit.",
)
@options(PredictConfig)
def main(results: tuple[Path, ...], **values: Any) -> None:
    """Predict images/s and the first limit (input, compute or communication) at 1 to 1,024 ranks.

    RESULTS are files that bench-scaling, or bench-compute and bench-loader, wrote with --output.
    """
    config = pick_fields(PredictConfig, values)

    # rich and the readers of results take a while to import: --help doesn't wait for them.
    from benchmarks.predict.report import predict

    predict(results, config)


if __name__ == "__main__":
    main()
