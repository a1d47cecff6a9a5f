"""Measured step times -> where a step goes. Pure functions; docs/stall-ladder.md gives the reasons.

The levels of one step, each in seconds and none above the whole:

    apart       a rank alone: synthetic batches, gradients not exchanged; mean of the ranks
    + waiting   until the last rank is done
    synthetic   the ranks together: synthetic batches, gradients exchanged
    loader      the loader alone, which works while the model does
    warm        the trainer's loop, files in the page cache
    cold        the same, files not in the page cache

    compute       = apart
    waiting       = waiting
    communication = synthetic - apart - waiting
    input         = max(loader - synthetic, 0)
    interference  = warm - max(loader, synthetic)
    storage       = cold - warm
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.scaling.record import APART, COLD, IN_STEP, LOADER, SYNTHETIC, WARM, Parts, Rung

Middle = Callable[[Sequence[float]], float]


@dataclass(frozen=True, kw_only=True)
class StepTimes:
    """Seconds of a step by level; `cold` is None where cold files weren't measured."""

    apart: float
    waiting: float
    synthetic: float
    loader: float
    warm: float
    cold: float | None = None


def attribute(times: StepTimes) -> Parts:
    """The parts of a step from warm files, and from cold ones where `cold` is given; they add up
    to the whole. A level that comes out above the next by chance is cut to it.
    """
    synthetic = min(times.synthetic, times.warm)
    compute = min(times.apart, synthetic)
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
    rungs: Mapping[str, Rung], middle: Middle = statistics.median, *, cold: bool = False
) -> StepTimes:
    """The levels from the rungs, the `middle` of the runs of each. One rank alone is never apart
    from others, nor waits for them."""
    synthetic = middle(rungs[SYNTHETIC].step_seconds)
    apart = synthetic
    if APART in rungs:
        apart = middle([statistics.mean(ranks) for ranks in rungs[APART].rank_seconds])
    waits = rungs[IN_STEP].wait_seconds if IN_STEP in rungs else None
    return StepTimes(
        apart=apart,
        waiting=0.0 if waits is None else middle(waits),
        synthetic=synthetic,
        loader=middle(rungs[LOADER].step_seconds),
        warm=middle(rungs[WARM].step_seconds),
        cold=middle(rungs[COLD].step_seconds) if cold else None,
    )


def losses(seconds: Parts, baseline: Parts, *, images_ratio: float) -> Parts:
    """What each part has grown by since the baseline, as a share of the step; they add up to
    1 - efficiency.

    `images_ratio`: images of a rank's step over those at the baseline: 1 in weak scaling, the ratio
    of the world sizes in strong, where a rank's step has fewer images the more ranks there are.
    """
    return (seconds - baseline * images_ratio) * (1 / seconds.total)


def efficiency(seconds: float, baseline_seconds: float, *, images_ratio: float) -> float:
    """images/s of a rank over those of a rank at the baseline."""
    return images_ratio * baseline_seconds / seconds


# Less of the step than this, and the loader is no limit worth a word.
STARVED = 0.05


def limit(shares: Parts) -> str:
    """The part that the step is bound by.

    Input (with storage) where the model waits for it for more than STARVED of the step: the
    loader is then slower than the model, so that a faster model or network would change nothing.
    Else the largest of the others, which follow each other in a step.
    """
    if shares.input + shares.storage > STARVED:
        return "input" if shares.input >= shares.storage else "storage"
    values = shares.as_dict()
    return max(
        ("compute", "waiting", "communication", "interference"), key=lambda name: values[name]
    )
