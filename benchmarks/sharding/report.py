"""The table of the sharding benchmark."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.measuring.alternate import Measurement
from benchmarks.measuring.table import report
from benchmarks.measuring.targets import Target
from benchmarks.sharding.contenders import Candidate


def rate_bar(
    bound: float, contender: Candidate, of: Candidate, measured: Mapping[str, Measurement]
) -> Target:
    """The rate of `contender` against that of another."""
    rate = measured[contender.name].median
    alone = of.work_rate
    return Target(
        of=of.name,
        bound=bound,
        value=rate / measured[of.name].median,
        strict=None if alone is None else rate / alone,
    )


def show(
    title: str,
    unit: str,
    contenders: Sequence[Candidate],
    measured: Mapping[str, Measurement],
    bars: Sequence[Target],
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
    report(
        title,
        unit,
        list(measured.values()),
        kind="benchmarks.sharding",
        facts=facts,
        columns=columns,
        notes=notes,
    )
