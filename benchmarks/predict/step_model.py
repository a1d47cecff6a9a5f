"""Duration of a step on any number of ranks, from measurements of one: pure arithmetic.

    step = max(compute + exposed, input) + interference

    compute        forward, backward and update; slower when the ranks of a node share its memory
    exposed        the part of the gradients' all-reduce that the backward pass does not hide
    input          the loader without a model
    interference   slowdown of loader and model by each other, as measured on one rank

All are seconds of one step of each rank.
"""

import math
from dataclasses import dataclass, replace

from benchmarks.predict.networks import Network

INPUT, COMPUTE, COMMUNICATION = "input", "compute", "communication"

# Of forward and backward: two matrix products backward for each one forward.
BACKWARD_SHARE = 2 / 3
# bucket_cap_mb of torch.nn.parallel.DistributedDataParallel.
BUCKET_BYTES = 25 * 2**20


@dataclass(frozen=True, kw_only=True)
class RankSpeed:
    """Measurements of one rank.

    Attributes:
        batch_size: of the rank, constant over all numbers of ranks (weak scaling).
        compute_rate: images/s on synthetic batches.
        gradient_bytes: size of the gradients of a step.
        threads: CPU cores that the loader was measured on.
        loader_rate: images/s of the loader without a model; None if training reads no input.
        training_rate: images/s of loader and model together; None: as fast as the slower one.
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
        """Duration of a batch of the loader on `cores` cores: fewer than measured slow it down,
        more do not help."""
        if self.loader_rate is None:
            return 0.0
        return self.batch_size / (self.loader_rate * min(1.0, cores / self.threads))

    @property
    def interference_seconds(self) -> float:
        if self.training_rate is None:
            return 0.0
        slower = max(self.compute_seconds, self.input_seconds(self.threads))
        return self.batch_size / self.training_rate - slower


@dataclass(frozen=True, kw_only=True)
class PredictedStep:
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
    def busy_seconds(self) -> float:
        return self.compute_seconds + self.exposed_seconds

    @property
    def step_seconds(self) -> float:
        return max(self.busy_seconds, self.input_seconds) + self.interference_seconds

    @property
    def images_per_second(self) -> float:
        """Of all ranks."""
        return self.ranks * self.batch_size / self.step_seconds

    @property
    def waiting_seconds(self) -> float:
        """Time that a step waits for input."""
        return max(0.0, self.input_seconds - self.busy_seconds)


def predict_step(
    speed: RankSpeed, network: Network, ranks: int, *, cores_per_node: int
) -> PredictedStep:
    """A step of `ranks` ranks of that `speed`; those of a node share its cores."""
    slowed = replace(speed, compute_rate=speed.compute_rate / network.slowdown_of(ranks))
    cores = min(speed.threads, cores_per_node / network.local_ranks(ranks))
    return PredictedStep(
        ranks=ranks,
        nodes=network.nodes(ranks),
        batch_size=speed.batch_size,
        compute_seconds=slowed.compute_seconds,
        input_seconds=speed.input_seconds(cores),
        all_reduce_seconds=_buckets(speed) * _bucket_seconds(speed, network, ranks),
        exposed_seconds=exposed_seconds(slowed, network, ranks),
        interference_seconds=speed.interference_seconds,
    )


def exposed_seconds(speed: RankSpeed, network: Network, ranks: int) -> float:
    """Time that the all-reduce adds to a step.

    Gradients are reduced in equal buckets, which become ready at regular intervals of the backward
    pass and are sent in that order (Li et al. 2020, "PyTorch Distributed", arXiv:2006.15704,
    section 3.2). Nothing hides the last one. The work of the rank's own cores for the buckets
    before it makes the backward pass longer.
    """
    count, bucket = _buckets(speed), _bucket_seconds(speed, network, ranks)
    hidden = BACKWARD_SHARE * speed.compute_seconds * (count - 1) / count
    own_work = (count - 1) * network.core_seconds(speed.gradient_bytes / count, ranks)
    return max(bucket + own_work, count * bucket - hidden)


def _buckets(speed: RankSpeed) -> int:
    return max(1, math.ceil(speed.gradient_bytes / BUCKET_BYTES))


def _bucket_seconds(speed: RankSpeed, network: Network, ranks: int) -> float:
    return network.all_reduce_seconds(speed.gradient_bytes / _buckets(speed), ranks)


def first_limit(step: PredictedStep) -> str:
    """The part whose removal would shorten the step most."""
    without = {
        INPUT: replace(step, input_seconds=0.0),
        COMPUTE: replace(step, compute_seconds=0.0, exposed_seconds=step.all_reduce_seconds),
        COMMUNICATION: replace(step, exposed_seconds=0.0),
    }
    return min(without, key=lambda limit: without[limit].step_seconds)
