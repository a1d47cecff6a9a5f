"""Sentences and tables about the points of bench-scaling."""

from collections.abc import Mapping, Sequence

from benchmarks.measuring.intervals import median_interval
from benchmarks.measuring.table import explain
from benchmarks.measuring.text import figure
from benchmarks.scaling.record import (
    COLD,
    EXPLANATIONS,
    LOADER,
    PARTS,
    RUNGS,
    SYNTHETIC,
    WARM,
    LadderMeasurement,
    Parts,
    Point,
)
from benchmarks.scaling.stall_ladder import limit
from pipeline.table import Table, print_table

_ALL_RATES = (
    "training runs at {warm} images/s, the model without input at {model}, the loader without a "
    "model at {loader}"
)
# Part that limits the step -> sentence.
_SENTENCES = {
    "input": "input-bound: the loader gives {loader} images/s, the model could take {model}; "
    "waiting for input takes {share} of the step",
    "storage": "input-bound: cold files give {cold} images/s, warm files {warm}; reading takes "
    "{share} of the step",
    "interference": "bound by interference: loader and model slow each other down, which takes "
    "{share} of the step; " + _ALL_RATES,
    "communication": "communication-bound: exchanging {megabytes:,.1f} MB of gradients takes "
    "{share} of the step, computing {compute:.0%}",
    "waiting": "bound by the slowest rank: waiting for it takes {share} of the step",
    "compute": "compute-bound: computing takes {share} of the step; " + _ALL_RATES,
}


def describe_limit(measurement: LadderMeasurement, shares: Parts) -> str:
    """What limits the step of which these are the `shares`, from warm or from cold files."""
    part = limit(shares)
    rungs = {"loader": LOADER, "model": SYNTHETIC, "warm": WARM, "cold": COLD}
    sentence = _SENTENCES[part].format(
        share=f"{getattr(shares, part):.0%}",
        compute=shares.compute,
        megabytes=measurement.gradient_bytes / 1e6,
        **{
            name: figure(measurement.images_per_second(rung))
            for name, rung in rungs.items()
            if rung in measurement.rungs
        },
    )
    cold = "" if part == "storage" else _compare_cold(measurement)
    return f"{measurement.name}: {sentence}{cold}."


def _compare_cold(measurement: LadderMeasurement) -> str:
    if COLD not in measurement.rungs:
        return ""
    cold, warm = (measurement.rungs[rung].step_seconds for rung in (COLD, WARM))
    if median_interval([c / w for c, w in zip(cold, warm, strict=True)]).low <= 1:
        return "; cold files are not measurably slower"
    rate = measurement.images_per_second(COLD)
    share = rate / measurement.images_per_second(WARM)
    return f"; cold files give {figure(rate)} images/s, {share:.0%} of the rate of warm files"


def describe_scaling(points: Sequence[Point]) -> str:
    """Efficiency of the largest size of each mode, its largest loss, and what limits the first."""
    largest = {point.mode: point for point in points if point.world_size > 1}
    if not largest:
        return points[0].sentence
    efficiencies = "; ".join(map(_describe_efficiency, largest.values()))
    first = next(iter(largest.values()))
    return f"{efficiencies[0].upper()}{efficiencies[1:]}. {first.sentence}"


def _describe_efficiency(point: Point) -> str:
    low, high = point.efficiency_interval
    sentence = (
        f"{point.mode} scaling to {point.world_size} ranks is {point.efficiency:.0%} efficient "
        f"({low:.0%} to {high:.0%})"
    )
    losses = point.losses.as_dict()
    part = max(losses, key=lambda name: losses[name])
    if point.efficiency >= 1 or losses[part] < 0.01:
        return sentence
    return f"{sentence}, {losses[part]:.0%} lost to {part}"


def show_ladder(points: Sequence[Point]) -> None:
    """Print images/s of each rung, a column for each point, and explain the rungs."""
    rungs = [rung for rung in RUNGS if any(rung in point.rungs for point in points)]
    rows = [
        (
            rung,
            *(
                figure(point.images_per_second(rung)) if rung in point.rungs else ""
                for point in points
            ),
        )
        for rung in rungs
    ]
    headers = ("", *(point.name for point in points))
    print_table(Table(title="stall ladder, images/s", headers=headers, rows=rows))
    explain({rung: EXPLANATIONS[rung] for rung in rungs})


def point_columns(points: Sequence[Point]) -> Mapping[str, Mapping[str, str]]:
    """Columns of the efficiency and of the shares of a step from warm files."""
    columns = {"efficiency": {point.name: f"{point.efficiency:.0%}" for point in points}}
    for part in PARTS[:-1]:
        columns[part] = {point.name: f"{getattr(point.shares, part):.0%}" for point in points}
    return columns


def failed_checks(points: Sequence[Point]) -> list[str]:
    """A warning for each validity check that does not hold."""
    return [
        f" ! {point.name} is not reliable, since this does not hold: {check.name}. {check.sentence}"
        for point in points
        for check in point.checks
        if not check.holds
    ]
