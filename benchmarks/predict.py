"""bench-predict: how training will scale, from what one rank was measured to do and a network that
is stated."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from benchmarks.command import FROM_ENVIRONMENT
from benchmarks.networks import GLOO, LINKS, NVLINK, Link, Network, parse_link
from pipeline.errors import MisuseError
from pipeline.options import options, setting, take, within

MOST_RANKS = 1024


@dataclass(frozen=True, kw_only=True)
class Prediction:
    within: str | None = setting(
        None,
        "Link between ranks of a node: GB/s,us a hop, or a name.  [default: nvlink-4 for GPUs, "
        "gloo-loopback for cores]",
        metavar="LINK",
    )
    between: str = setting(
        "ethernet-100", "Link of a whole node to the others, likewise.", metavar="LINK"
    )
    measure_network: bool = setting(
        False,
        "Measure the link between ranks of this machine, and how they slow each other down.",
    )
    network_of: str | None = setting(
        None,
        "Result of bench-predict whose network is taken, as it was measured or stated there.",
        metavar="FILE",
    )
    ranks_per_node: int | None = setting(
        None, "Ranks on a node.  [default: GPUs, or else cores, of the machine that was measured]"
    )
    cores_per_node: int | None = setting(
        None, "Cores that a node's loaders share.  [default: those of the machine]"
    )
    max_ranks: int = setting(MOST_RANKS, "The most ranks that are predicted.")
    batch_size: int | None = setting(
        None, "Images of a rank's step, of those measured.  [default: the fastest]"
    )
    gradient_mb: float | None = setting(
        None, "Gradients of a step in 10^6 bytes.  [default: as the result says]"
    )
    output: str | None = setting(None, "File for the result, as one line of JSON.")

    def __post_init__(self) -> None:
        for flag, value in (
            ("--ranks-per-node", self.ranks_per_node),
            ("--cores-per-node", self.cores_per_node),
            ("--max-ranks", self.max_ranks),
            ("--gradient-mb", self.gradient_mb),
        ):
            if value is not None:
                within(flag, value, 1e-6 if flag == "--gradient-mb" else 1)
        ways = (self.measure_network, self.within is not None, self.network_of is not None)
        if sum(ways) > 1:
            raise MisuseError(
                "--measure-network, --within and --network-of say the same: give one of them."
            )

    def link_within(self) -> Link | None:
        return None if self.within is None else parse_link("--within", self.within)

    def link_between(self) -> Link:
        return parse_link("--between", self.between)


def _show_links(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        click.echo("\n".join(map(str, LINKS.values())))
        context.exit()


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
    asked = take(Prediction, values)
    inside, between = asked.link_within(), asked.link_between()

    from benchmarks.one_rank import read_one_rank
    from benchmarks.predict_report import report_prediction

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
        from benchmarks.machine_probe import measured_network

        network = measured_network(network, one)
    report_prediction(
        one,
        network,
        cores_per_node=asked.cores_per_node or one.node_cores,
        most=asked.max_ranks,
        output=asked.output,
    )


def _network_of(path: Path) -> Network:
    from benchmarks.bundle import read_bundle
    from benchmarks.kinds import PREDICTION, kind_of

    bundle = read_bundle(path)
    if kind_of(bundle) != PREDICTION:
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
