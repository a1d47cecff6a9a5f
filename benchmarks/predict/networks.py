"""What ranks talk over, and how long they take to add up their gradients."""

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.errors import MisuseError

GIGA = 1e9
MICRO = 1e-6


@dataclass(frozen=True, kw_only=True)
class Link:
    """One direction of what a rank, or a node, sends over.

    Attributes:
        bandwidth_gb_per_second: in 10^9 bytes.
        latency_us: of a hop.
        core_share: of a transfer's time that the ranks' own cores work for it, so that nothing else
            is computed meanwhile: 0 for GPUs and network cards, near 1 for gloo.
    """

    name: str
    bandwidth_gb_per_second: float
    latency_us: float
    core_share: float = 0.0
    source: str = "as stated"

    def seconds(self, sent_bytes: float, hops: int) -> float:
        bandwidth = self.bandwidth_gb_per_second * GIGA
        return sent_bytes / bandwidth + hops * self.latency_us * MICRO

    def __str__(self) -> str:
        return (
            f"{self.name}: {self.bandwidth_gb_per_second:.4g} GB/s, {self.latency_us:.4g} us a hop "
            f"({self.source})"
        )


# Of a hop of a ring's large messages ("Simple"): NCCL's own model, src/graph/tuning.cc, hwLat.
NVLINK_US, PCIE_US, CARD_US = 3.4, 5.7, 9.6
_HOP = "a hop as in NCCL's tuning.cc"


def _nvlink(generation: int, bandwidth: float, source: str) -> Link:
    return Link(
        name=f"nvlink-{generation}",
        bandwidth_gb_per_second=bandwidth,
        latency_us=NVLINK_US,
        source=f"{source}; {_HOP}",
    )


def _pcie(generation: int, bandwidth: float) -> Link:
    return Link(
        name=f"pcie-{generation}",
        bandwidth_gb_per_second=bandwidth,
        latency_us=PCIE_US,
        source=f"16 lanes by the standard; {_HOP}",
    )


def _card(kind: str, gigabit: int) -> Link:
    return Link(
        name=f"{kind}-{gigabit}",
        bandwidth_gb_per_second=gigabit / 8,
        latency_us=CARD_US,
        source=f"one card a node at its line rate of {gigabit} Gb/s; {_HOP}",
    )


NVLINK, GLOO = "nvlink-4", "gloo-loopback"

LINKS: Mapping[str, Link] = {
    link.name: link
    for link in (
        Link(
            name=GLOO,
            bandwidth_gb_per_second=1.0,
            latency_us=200,
            core_share=0.72,
            source="two cores: benchmarks/results/predict_2-core-epyc_2026-11-25.md",
        ),
        _nvlink(3, 235, "A100: the limit in NCCL's tuning.cc, of 300 by the data sheet"),
        _nvlink(4, 376, "H100, H200: measured in NVIDIA/nccl issue 1264, of 450 by the data sheet"),
        _pcie(4, 31.5),
        _pcie(5, 63.0),
        *(_card("ethernet", gigabit) for gigabit in (10, 25, 100, 200, 400)),
        *(_card("infiniband", gigabit) for gigabit in (100, 200, 400)),
    )
}


def parse_link(flag: str, text: str) -> Link:
    """A name in LINKS, or "BANDWIDTH,LATENCY" in GB/s and us."""
    if text in LINKS:
        return LINKS[text]
    try:
        bandwidth, latency = (float(part) for part in text.split(","))
    except ValueError:
        bandwidth, latency = 0.0, 0.0
    if not (0 < bandwidth < float("inf") and 0 <= latency < float("inf")):
        raise MisuseError(
            f"{flag} {text}: give GB/s and us like 25,5, or one of {', '.join(LINKS)}."
        )
    return Link(name=text, bandwidth_gb_per_second=bandwidth, latency_us=latency)


@dataclass(frozen=True, kw_only=True)
class Network:
    """Nodes of at most `ranks_per_node` ranks.

    Attributes:
        within: between two ranks of a node.
        between: of a whole node, whose ranks share it.
        slowdown: times that a rank's step takes when all ranks of a node compute at once, since
            they share its memory: 1 where each has its own, as GPUs do.
    """

    ranks_per_node: int
    within: Link
    between: Link
    slowdown: float = 1.0

    def nodes(self, ranks: int) -> int:
        return -(-ranks // self.ranks_per_node)

    def ranks_of_node(self, ranks: int) -> int:
        """Of the fullest node."""
        return min(ranks, self.ranks_per_node)

    def slowdown_of(self, ranks: int) -> float:
        """It grows evenly with the ranks that share a node."""
        others = max(1, self.ranks_per_node - 1)
        return 1 + (self.slowdown - 1) * (self.ranks_of_node(ranks) - 1) / others

    def all_reduce_seconds(self, size: float, ranks: int) -> float:
        """Until each of `ranks` has the sum of what all of them have, `size` bytes each.

        Within a node and between nodes a ring, which sends 2 (n - 1) / n of the bytes in 2 (n - 1)
        hops and is the least that any algorithm can send (Patarasuk and Yuan 2009, "Bandwidth
        optimal all-reduce algorithms for clusters of workstations"). On several nodes a node's
        ranks add up parts, which go around the nodes, and then hand out the sums (Goyal et al.
        2017, arXiv:1706.02677, section 4.2).
        """
        local, nodes = self.ranks_of_node(ranks), self.nodes(ranks)
        return _ring(self.within, size, local) + _ring(self.between, size, nodes)

    def core_seconds(self, size: float, ranks: int) -> float:
        """Of the time above, what each rank's own cores work."""
        local, nodes = self.ranks_of_node(ranks), self.nodes(ranks)
        return self.within.core_share * _ring(
            self.within, size, local
        ) + self.between.core_share * _ring(self.between, size, nodes)


def _ring(link: Link, size: float, members: int) -> float:
    """Half of the hops reduce and scatter, the other half gather."""
    return link.seconds(2 * (members - 1) / members * size, 2 * (members - 1))
