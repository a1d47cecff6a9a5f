"""How training will scale, from what one rank was measured to do: pure arithmetic.

    step = max(compute + exposed, input) + interference

    compute        the rank, never waiting; beside others of its node it may take longer
    exposed        the part of the gradients' all-reduce that the backward pass does not hide
    input          the loader alone
    interference   what one rank with both takes beyond the slower of the two

All are seconds of one step of each rank.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from benchmarks.predict.networks import Network

INPUT, COMPUTE, COMMUNICATION = LIMITS = ("input", "compute", "communication")

# Of forward and backward: two products backward for each one forward.
BACKWARD_SHARE = 2 / 3
# torch.nn.parallel.DistributedDataParallel's bucket_cap_mb.
BUCKET_BYTES = 25 * 2**20


@dataclass(frozen=True, kw_only=True)
class Rank:
    """One rank as it was measured.

    Attributes:
        batch_size: images of its step, the same at every size (weak scaling).
        compute_rate: images/s of its steps on batches that are there already.
        loader_rate: images/s of its loader alone, on `threads` cores; None: no input is read.
        training_rate: images/s of both together; None: as fast as the slower one.
        gradient_bytes: that ranks exchange in a step.
    """

    batch_size: int
    compute_rate: float
    gradient_bytes: float
    threads: int = 1
    loader_rate: float | None = None
    training_rate: float | None = None

    @property
    def compute_seconds(self) -> float:
        return self.batch_size / self.compute_rate

    def input_seconds(self, cores: float) -> float:
        """With so many cores for its loader: fewer than measured slow it down, more don't help."""
        if self.loader_rate is None:
            return 0.0
        share = min(1.0, cores / self.threads)
        return self.batch_size / (self.loader_rate * share)

    @property
    def interference_seconds(self) -> float:
        if self.training_rate is None:
            return 0.0
        alone = max(self.compute_seconds, self.input_seconds(self.threads))
        return self.batch_size / self.training_rate - alone


@dataclass(frozen=True, kw_only=True)
class Scaled:
    """A step of `ranks` ranks, in seconds of each."""

    ranks: int
    nodes: int
    batch_size: int
    compute_seconds: float
    input_seconds: float
    all_reduce_seconds: float
    exposed_seconds: float
    interference_seconds: float

    @property
    def step_seconds(self) -> float:
        busy = self.compute_seconds + self.exposed_seconds
        return max(busy, self.input_seconds) + self.interference_seconds

    @property
    def images_per_second(self) -> float:
        return self.ranks * self.batch_size / self.step_seconds

    @property
    def waiting_seconds(self) -> float:
        """For input, in a step."""
        busy = self.compute_seconds + self.exposed_seconds
        return max(0.0, self.input_seconds - busy)


def scale(rank: Rank, network: Network, ranks: int, *, cores_per_node: int) -> Scaled:
    """`ranks` ranks like `rank`; those of a node share its cores."""
    local = network.ranks_of_node(ranks)
    beside = replace(rank, compute_rate=rank.compute_rate / network.slowdown_of(ranks))
    return Scaled(
        ranks=ranks,
        nodes=network.nodes(ranks),
        batch_size=rank.batch_size,
        compute_seconds=beside.compute_seconds,
        input_seconds=rank.input_seconds(min(rank.threads, cores_per_node / local)),
        all_reduce_seconds=_buckets(rank) * _bucket_seconds(rank, network, ranks),
        exposed_seconds=exposed_seconds(beside, network, ranks),
        interference_seconds=rank.interference_seconds,
    )


def exposed_seconds(rank: Rank, network: Network, ranks: int) -> float:
    """What the all-reduce adds to a step.

    Gradients go in equal buckets, which get ready one after the other at even times of the backward
    pass and are sent in that order (Li et al. 2020, "PyTorch Distributed", arXiv:2006.15704,
    section 3.2). The last one is ready when there is nothing left to hide it. What the rank's own
    cores do for those before it makes the backward pass longer.
    """
    count, each = _buckets(rank), _bucket_seconds(rank, network, ranks)
    backward = BACKWARD_SHARE * rank.compute_seconds
    hidden = backward * (count - 1) / count
    own = (count - 1) * network.core_seconds(rank.gradient_bytes / count, ranks)
    return max(each + own, count * each - hidden)


def _buckets(rank: Rank) -> int:
    return max(1, math.ceil(rank.gradient_bytes / BUCKET_BYTES))


def _bucket_seconds(rank: Rank, network: Network, ranks: int) -> float:
    return network.all_reduce_seconds(rank.gradient_bytes / _buckets(rank), ranks)


def first_limit(scaled: Scaled) -> str:
    """Which of LIMITS, if it cost nothing, would shorten the step most."""
    without: dict[str, Callable[[Scaled], Scaled]] = {
        INPUT: lambda step: replace(step, input_seconds=0.0),
        COMPUTE: lambda step: replace(
            step, compute_seconds=0.0, exposed_seconds=step.all_reduce_seconds
        ),
        COMMUNICATION: lambda step: replace(step, exposed_seconds=0.0),
    }
    return min(LIMITS, key=lambda limit: without[limit](scaled).step_seconds)
