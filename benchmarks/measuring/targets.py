"""Bars: what a ratio should be, said beside what it is; nothing fails for being under one."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Target:
    """`value` should be at least `bound` times `of`, or at most that where `at_most`.

    `strict` is the value against the work of `of` alone, without the start of its processes.
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
        bound = f"at most {self.bound:g}" if self.at_most else f"{self.bound:g}"
        verdict = "met" if self.met else "over" if self.at_most else "under"
        strict = "" if self.strict is None else f"; {self.strict:.2f} of its work alone"
        return f"bar {bound} of {self.of}: {self.value:.2f}, {verdict}{strict}"

    def record(self) -> dict[str, Any]:
        return asdict(self) | {"met": self.met}
