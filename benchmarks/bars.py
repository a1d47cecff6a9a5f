"""Bars: what a ratio should be, said beside what it is; nothing fails for being under one."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.contenders import Contender
from benchmarks.measure import Measurement, report


@dataclass(frozen=True, kw_only=True)
class Bar:
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


def rate_bar(
    bound: float, contender: Contender, of: Contender, measured: Mapping[str, Measurement]
) -> Bar:
    """The rate of `contender` against that of another."""
    rate = measured[contender.name].median
    alone = of.work_rate
    return Bar(
        of=of.name,
        bound=bound,
        value=rate / measured[of.name].median,
        strict=None if alone is None else rate / alone,
    )


def show(
    title: str,
    unit: str,
    contenders: Sequence[Contender],
    measured: Mapping[str, Measurement],
    bars: Sequence[Bar],
    versions: Mapping[str, str],
) -> None:
    """The table, the bars, and who could not be measured; then the JSON line."""
    ran = [each for each in contenders if each.name in measured]
    absent = {each.name: each.failure for each in contenders if each.failure}
    alone = {each.name: rate for each in ran if (rate := each.work_rate) is not None}
    cpu = {each.name: each.cpu_seconds / each.race.amount for each in ran}
    one = unit.removesuffix("/s").removesuffix("s")
    facts: dict[str, Any] = {
        "amount": ran[0].race.amount,
        "work_alone": alone,
        "cpu_seconds_per_" + one: cpu,
        "written_bytes": {each.name: each.written_bytes for each in ran},
        "bars": [bar.record() for bar in bars],
        "absent": absent,
        "peers": dict(versions),
    }
    columns = {
        "work alone": {name: f"{rate:,.1f}" for name, rate in alone.items()},
        "CPU ms/" + one: {name: f"{1000 * seconds:.3f}" for name, seconds in cpu.items()},
        "MB written": {each.name: f"{each.written_bytes / 1e6:,.0f}" for each in ran},
    }
    notes = [*map(str, bars), *(f"{name}: {why}" for name, why in absent.items())]
    report(title, unit, list(measured.values()), facts=facts, columns=columns, notes=notes)
