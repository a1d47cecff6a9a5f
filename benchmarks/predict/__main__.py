"""bench-predict: how training will scale, from what one rank was measured to do and a network that
is stated."""

from pathlib import Path
from typing import Any

import click

from benchmarks.measuring.config import FROM_ENVIRONMENT
from benchmarks.predict.config import Prediction, _show_links
from benchmarks.predict.networks import GLOO, LINKS, NVLINK, Link, Network
from pipeline.errors import MisuseError
from pipeline.options import options, pick_fields


@click.command(context_settings=FROM_ENVIRONMENT)
@click.argument("results", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--list-links",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_show_links,
    help="Print the links that have names, with their sources, and exit.",
)
@options(Prediction)
def main(results: tuple[Path, ...], **values: Any) -> None:
    """Predict images/s and the first limit at 2 to 1,024 ranks from RESULTS: files that
    bench-scaling, or bench-compute and bench-loader, wrote with --output."""
    asked = pick_fields(Prediction, values)
    inside, between = asked.link_within(), asked.link_between()

    from benchmarks.predict.baseline import read_one_rank
    from benchmarks.predict.report import report_prediction

    one = read_one_rank(
        results,
        batch_size=asked.batch_size,
        gradient_bytes=asked.gradient_mb and 1e6 * asked.gradient_mb,
    )
    network = Network(
        ranks_per_node=asked.ranks_per_node or one.node_ranks,
        within=inside or LINKS[NVLINK if one.on_gpu else GLOO],
        between=between,
    )
    if asked.network_of:
        network = _network_of(Path(asked.network_of))
    elif asked.measure_network:
        from benchmarks.predict.network_probe import measured_network

        network = measured_network(network, one)
    report_prediction(
        one,
        network,
        cores_per_node=asked.cores_per_node or one.node_cores,
        most=asked.max_ranks,
        output=asked.output,
    )


def _network_of(path: Path) -> Network:
    from benchmarks.measuring.result_file import PREDICTION, read_bundle

    bundle = read_bundle(path)
    if bundle["kind"] != PREDICTION:
        raise MisuseError(f"--network-of {path}: give a result of bench-predict.")
    found = bundle["network"]
    return Network(
        ranks_per_node=found["ranks_per_node"],
        within=Link(**found["within"]),
        between=Link(**found["between"]),
        slowdown=found["slowdown"],
    )


if __name__ == "__main__":
    main()
