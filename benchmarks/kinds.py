"""Which benchmark a bundle is of, by what stands in it."""

from collections.abc import Mapping
from typing import Any

RUNGS, COMPUTE, SCALING, PREDICTION = KINDS = (
    *("bench-loader", "bench-compute"),
    *("bench-scaling", "bench-predict"),
)

# What only that benchmark states.
_MARKS = {
    SCALING: {"points"},
    PREDICTION: {"predictions"},
    COMPUTE: {"world_size", "figures"},
    RUNGS: {"share_of_time", "threads"},
}


def kind_of(bundle: Mapping[str, Any]) -> str | None:
    """One of KINDS; None for a sweep and for benchmarks of other things."""
    return next((kind for kind, marks in _MARKS.items() if marks <= bundle.keys()), None)
