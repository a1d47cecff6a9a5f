"""Targets of ratios. A benchmark prints whether it reaches them; missing one is no error."""

from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.measuring.alternate import Measurement, ratio


@dataclass(frozen=True, kw_only=True)
class Target:
    """`value`, a multiple of `of`, should be at least `bound`; at most `bound` if `at_most`.

    `strict` is the multiple of the work of `of` without the start of its processes.
    """

    of: str
    bound: float
    value: float
    at_most: bool = False
    strict: float | None = None

    @property
    def met(self) -> bool:
        return self.value <= self.bound if self.at_most else self.value >= self.bound

    def __str__(self) -> str:
        limit, verdict = "at most" if self.at_most else "at least", "met" if self.met else "missed"
        strict = "" if self.strict is None else f"; {self.strict:.2f} times its work without start"
        return (
            f"Target {limit} {self.bound:g} times {self.of}: {self.value:.2f}, {verdict}{strict}."
        )

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"met": self.met}


def ratio_target(bound: float, measurement: Measurement, of: Measurement) -> Target:
    """The median of the ratios of runs of the same round."""
    return Target(of=of.name, bound=bound, value=ratio(measurement, of).median)
