"""Links between ranks and between nodes, and the duration of an all-reduce over them."""

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.errors import MisuseError

GIGA = 1e9
MICRO = 1e-6


@dataclass(frozen=True, kw_only=True)
class Link:
    """One direction of the connection between two ranks, or two nodes.

    Attributes:
        bandwidth_gb_per_second: in 10^9 bytes.
        latency_us: of a hop.
        core_share: share of a transfer's time in which the CPU cores of the ranks work for it and
            compute nothing else: 0 for GPUs and network cards, near 1 for gloo.
        source: of the figures.
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
            f"{self.name}: {self.bandwidth_gb_per_second:.4g} GB/s, {self.latency_us:.4g} us per "
            f"hop ({self.source})"
        )


# Latency of a hop of a ring with large messages ("Simple"), in us: NCCL's model,
# src/graph/tuning.cc, hwLat.
NVLINK_US, PCIE_US, CARD_US = 3.4, 5.7, 9.6
NVLINK, GLOO = "nvlink-4", "gloo-loopback"
_LANES = "16 lanes by the standard"


def _known(name: str, bandwidth: float, latency_us: float, source: str) -> Link:
    return Link(
        name=name,
        bandwidth_gb_per_second=bandwidth,
        latency_us=latency_us,
        source=f"{source}; latency from NCCL's tuning.cc",
    )


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
        _known("nvlink-3", 235, NVLINK_US, "A100: the limit in tuning.cc; data sheet: 300"),
        _known(NVLINK, 376, NVLINK_US, "H100, H200: measured in nccl issue 1264; data sheet: 450"),
        _known("pcie-4", 31.5, PCIE_US, _LANES),
        _known("pcie-5", 63.0, PCIE_US, _LANES),
        *(
            _known(f"{kind}-{gigabit}", gigabit / 8, CARD_US, "line rate of one card per node")
            for kind, rates in (
                ("ethernet", (10, 25, 100, 200, 400)),
                ("infiniband", (100, 200, 400)),
            )
            for gigabit in rates
        ),
    )
}


def parse_link(flag: str, text: str) -> Link:
    """A name in LINKS, or "BANDWIDTH,LATENCY" in GB/s and us; `flag` is the option's name.

    Raises ``MisuseError`` for another `text`.
    """
    if text in LINKS:
        return LINKS[text]
    try:
        bandwidth, latency = (float(part) for part in text.split(","))
    except ValueError:
        bandwidth, latency = 0.0, 0.0
    if not (0 < bandwidth < float("inf") and 0 <= latency < float("inf")):
        raise MisuseError(
            f"{flag} {text} is not a link: give GB/s and us such as 25,5, or one of "
            f"{', '.join(LINKS)}."
        )
    return Link(name=text, bandwidth_gb_per_second=bandwidth, latency_us=latency)


@dataclass(frozen=True, kw_only=True)
class Network:
    """Nodes of at most `ranks_per_node` ranks.

    Attributes:
        within: link between two ranks of a node.
        between: link between two nodes, which the ranks of a node share.
        slowdown: duration of a step when all ranks of a node compute at once, over its duration on
            one rank: ranks on CPUs share the memory bandwidth; 1 for GPUs.
    """

    ranks_per_node: int
    within: Link
    between: Link
    slowdown: float = 1.0

    def nodes(self, ranks: int) -> int:
        return -(-ranks // self.ranks_per_node)

    def local_ranks(self, ranks: int) -> int:
        """Ranks of the fullest node."""
        return min(ranks, self.ranks_per_node)

    def slowdown_of(self, ranks: int) -> float:
        """`slowdown` for fewer ranks; it grows linearly with the ranks of a node."""
        neighbors = max(1, self.ranks_per_node - 1)
        return 1 + (self.slowdown - 1) * (self.local_ranks(ranks) - 1) / neighbors

    def all_reduce_seconds(self, size_bytes: float, ranks: int) -> float:
        """Duration of an all-reduce of `size_bytes` over `ranks` ranks.

        A ring within each node and a ring between the nodes, each of which sends 2 (n - 1) / n of
        the bytes in 2 (n - 1) hops, the minimum of any algorithm (Patarasuk and Yuan 2009,
        "Bandwidth optimal all-reduce algorithms for clusters of workstations"). On several nodes
        the ranks of a node reduce parts, the parts go around the nodes, and each node gathers the
        sums (Goyal et al. 2017, arXiv:1706.02677, section 4.2).
        """
        return sum(seconds for _, seconds in self._rings(size_bytes, ranks))

    def core_seconds(self, size_bytes: float, ranks: int) -> float:
        """Time of the all-reduce in which the CPU cores of a rank work for it."""
        return sum(link.core_share * seconds for link, seconds in self._rings(size_bytes, ranks))

    def _rings(self, size_bytes: float, ranks: int) -> list[tuple[Link, float]]:
        """Link and duration of both rings. Half of the hops reduce and scatter, half gather."""
        members = ((self.within, self.local_ranks(ranks)), (self.between, self.nodes(ranks)))
        return [
            (link, link.seconds(2 * (count - 1) / count * size_bytes, 2 * (count - 1)))
            for link, count in members
        ]
