"""Options of bench-predict, and of its network probe."""

from dataclasses import dataclass
from typing import Literal

from benchmarks.measuring.config import Measuring
from pipeline.errors import MisuseError
from pipeline.options import COUNT, Bounds, Options, setting


@dataclass(frozen=True, kw_only=True)
class PredictConfig(Options):
    within: str | None = setting(
        None,
        "Link between the ranks of a node: GB/s,us or a name of --list-links.  [default: nvlink-4 "
        "for GPUs, gloo-loopback for CPUs]",
        metavar="LINK",
    )
    between: str = setting(
        "ethernet-100",
        "Link between nodes, which the ranks of a node share: GB/s,us or a name of --list-links.",
        metavar="LINK",
    )
    measure_network: bool = setting(
        False,
        "Measure the link between ranks on this machine, and how much they slow each other down.",
    )
    network_of: str | None = setting(
        None, "Use the network of this earlier result of bench-predict.", metavar="FILE"
    )
    ranks_per_node: int | None = setting(
        None,
        "Ranks of a node.  [default: number of GPUs, or of CPU cores, of the measured machine]",
        COUNT,
    )
    cores_per_node: int | None = setting(
        None,
        "CPU cores of a node, which its loaders share.  [default: cores of the measured machine]",
        COUNT,
    )
    max_ranks: int = setting(1024, "Largest number of ranks.", COUNT)
    batch_size: int | None = setting(
        None, "Batch size of each rank, one of those in RESULTS.  [default: the fastest]", COUNT
    )
    gradient_mb: float | None = setting(
        None,
        "Size of the gradients in 10^6 bytes.  [default: the size in RESULTS]",
        Bounds(low=1e-6),
    )
    output: str | None = setting(None, "File for the result, as one line of JSON.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if sum((self.measure_network, self.within is not None, self.network_of is not None)) > 1:
            raise MisuseError(
                "--measure-network, --within and --network-of exclude each other: give one of them."
            )


@dataclass(frozen=True, kw_only=True)
class Probe(Measuring):
    megabytes: float = setting(102.0, "Size of the gradients in 10^6 bytes.", Bounds(low=1e-5))
    seconds: float = setting(1.0, "Minimum duration of a repetition.", Bounds(low=0.001))
    device: Literal["auto", "cpu", "cuda"] = setting("auto", "Device, as the trainer's.")
    model: str = setting("resnet18", "Model of the training steps.")
    image_size: int = setting(224, "Side of the images in px.", COUNT)
    batch_size: int = setting(4, "Batch size of each rank.", COUNT)
    precision: str = setting("auto", "Precision, as the trainer's.")
