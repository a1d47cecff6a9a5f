"""The parts of a step, from measured step times: pure functions; docs/stall-ladder.md explains why.

Seconds of one step:

    compute     a rank without others: synthetic batches, no exchange of gradients; mean of ranks
    waiting     until the last rank has finished
    synthetic   all ranks: synthetic batches, gradients exchanged
    loader      the loader without a model, which in training works at the same time as the model
    warm        the trainer's loop, files in the page cache
    cold        the trainer's loop, files not in the page cache

    communication = synthetic - compute - waiting
    input         = max(loader - synthetic, 0)
    interference  = warm - max(loader, synthetic)
    storage       = cold - warm
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.scaling.record import (
    COLD,
    LOADER,
    LOCKSTEP,
    NO_ALL_REDUCE,
    SYNTHETIC,
    WARM,
    Parts,
    Rung,
)

# Input that takes a smaller share of the step does not limit it.
STARVED = 0.05
Aggregate = Callable[[Sequence[float]], float]


@dataclass(frozen=True, kw_only=True)
class StepTimes:
    """Seconds of a step; `cold` is None where cold files weren't measured."""

    compute: float
    waiting: float
    synthetic: float
    loader: float
    warm: float
    cold: float | None = None


def attribute(times: StepTimes) -> Parts:
    """Split a step into parts; their sum is `warm`, or `cold` if it is given. A time that by chance
    exceeds the time that should include it is reduced to that one."""
    synthetic = min(times.synthetic, times.warm)
    compute = min(times.compute, synthetic)
    waiting = min(times.waiting, synthetic - compute)
    starved = min(max(times.loader - synthetic, 0.0), times.warm - synthetic)
    return Parts(
        compute=compute,
        waiting=waiting,
        communication=synthetic - compute - waiting,
        input=starved,
        interference=times.warm - synthetic - starved,
        storage=0.0 if times.cold is None else max(times.cold - times.warm, 0.0),
    )


def step_times(
    rungs: Mapping[str, Rung], aggregate: Aggregate = statistics.median, *, cold: bool = False
) -> StepTimes:
    """Reduce the runs of each rung by `aggregate`. A single rank has neither NO_ALL_REDUCE nor
    LOCKSTEP: its synthetic step is all compute."""
    seconds = {name: aggregate(rung.step_seconds) for name, rung in rungs.items()}
    compute, waiting = seconds[SYNTHETIC], 0.0
    if NO_ALL_REDUCE in rungs:
        compute = aggregate([statistics.mean(run) for run in rungs[NO_ALL_REDUCE].rank_seconds])
    if LOCKSTEP in rungs and (waits := rungs[LOCKSTEP].wait_seconds) is not None:
        waiting = aggregate(waits)
    return StepTimes(
        compute=compute,
        waiting=waiting,
        synthetic=seconds[SYNTHETIC],
        loader=seconds[LOADER],
        warm=seconds[WARM],
        cold=seconds[COLD] if cold else None,
    )


def losses(seconds: Parts, baseline: Parts, *, images_ratio: float) -> Parts:
    """Growth of each part since the baseline, as a share of the step; the sum is 1 - efficiency.

    `images_ratio`: batch size of a rank over that at the baseline: 1 in weak scaling, in strong
    scaling the inverse ratio of the world sizes.
    """
    return (seconds - baseline * images_ratio) * (1 / seconds.total)


def efficiency(seconds: float, baseline_seconds: float, *, images_ratio: float) -> float:
    """images/s of a rank over those of a rank at the baseline."""
    return images_ratio * baseline_seconds / seconds


def limit(shares: Parts) -> str:
    """The part that limits the step.

    Input or storage if both together take more than STARVED of the step: the loader is then slower
    than the model, so a faster model or network would not help. Otherwise the largest of the other
    parts, which follow one another in a step.
    """
    if shares.input + shares.storage > STARVED:
        return "input" if shares.input >= shares.storage else "storage"
    others = ("compute", "waiting", "communication", "interference")
    return max(others, key=lambda name: shares.as_dict()[name])
