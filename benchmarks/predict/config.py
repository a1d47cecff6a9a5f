"""Options of bench-predict."""

from dataclasses import dataclass

import click

from benchmarks.predict.networks import LINKS, Link, parse_link
from pipeline.errors import MisuseError
from pipeline.options import COUNT, Bounds, Options, setting

MOST_RANKS = 1024


@dataclass(frozen=True, kw_only=True)
class Prediction(Options):
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
        False, "Measure the link between ranks of this machine, and how they slow each other down."
    )
    network_of: str | None = setting(
        None,
        "Result of bench-predict whose network is taken, as it was measured or stated there.",
        metavar="FILE",
    )
    ranks_per_node: int | None = setting(
        None,
        "Ranks on a node.  [default: GPUs, or else cores, of the machine that was measured]",
        COUNT,
    )
    cores_per_node: int | None = setting(
        None, "Cores that a node's loaders share.  [default: those of the machine]", COUNT
    )
    max_ranks: int = setting(MOST_RANKS, "The most ranks that are predicted.", COUNT)
    batch_size: int | None = setting(
        None, "Images of a rank's step, of those measured.  [default: the fastest]", COUNT
    )
    gradient_mb: float | None = setting(
        None, "Gradients of a step in 10^6 bytes.  [default: as the result says]", Bounds(low=1e-6)
    )
    output: str | None = setting(None, "File for the result, as one line of JSON.")

    def __post_init__(self) -> None:
        super().__post_init__()
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
