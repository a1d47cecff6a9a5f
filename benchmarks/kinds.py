"""Which benchmark a bundle is of, by what stands in it."""

from collections.abc import Mapping
from typing import Any

RUNGS, SWEEP, COMPUTE, SCALING, TRAININGS, PREDICTION, STUDY = KINDS = (
    *("bench-loader", "bench-loader --sweep", "bench-compute"),
    *("bench-scaling", "bench-scaling --to-end", "bench-predict", "bench-study"),
)

# What that benchmark states, but none of those after it.
_MARKS = {
    STUDY: {"configurations"},
    SCALING: {"points"},
    TRAININGS: {"trainings"},
    PREDICTION: {"predictions"},
    COMPUTE: {"world_size", "figures"},
    RUNGS: {"share_of_time", "threads"},
    SWEEP: {"split_bytes", "threads"},
}


def kind_of(bundle: Mapping[str, Any]) -> str | None:
    """One of KINDS; None for benchmarks of other things."""
    return next((kind for kind, marks in _MARKS.items() if marks <= bundle.keys()), None)
