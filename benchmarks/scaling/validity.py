"""Checks whether the figures of bench-scaling are reliable."""

from collections.abc import Sequence
from operator import truediv

from benchmarks.measuring.intervals import median_interval, spread
from benchmarks.measuring.text import figure
from benchmarks.scaling.record import LOADER, SYNTHETIC, WARM, LadderMeasurement, ValidityCheck
from benchmarks.scaling.stall_ladder import STARVED, attribute, step_times

# Largest (highest - lowest) / median of the runs of a rung.
MAX_SPREAD = 0.25


def check_validity(
    measurement: LadderMeasurement,
    baseline: LadderMeasurement,
    efficiencies: Sequence[float],
    *,
    cores: int,
) -> tuple[ValidityCheck, ...]:
    """All checks, those to fix first in front.

    `efficiencies` are those of each run; `cores` is the number of ranks that a machine has cores
    for.
    """
    ranks = -(-measurement.world_size // measurement.nodes)
    synthetic, warm, loader = (measurement.rungs[name] for name in (SYNTHETIC, WARM, LOADER))
    spreads = {name: spread(measurement.rungs[name].step_seconds) for name in (SYNTHETIC, WARM)}
    # A loader that is faster than the model is not part of any share.
    if loader.median_seconds > synthetic.median_seconds:
        spreads[LOADER] = spread(loader.step_seconds)
    widest = max(spreads, key=lambda name: spreads[name])
    rates = [figure(measurement.images_per_second(name)) for name in (SYNTHETIC, WARM)]
    # A difference that holds in nearly all runs is not chance.
    slowdown = median_interval([*map(truediv, synthetic.step_seconds, warm.step_seconds)]).low
    starved = attribute(step_times(baseline.rungs)).shares.input
    low, high = median_interval(efficiencies).limits
    checks = {
        "each rank has a core": (
            ranks <= cores,
            f"A machine has {ranks} ranks, and cores for {cores}.",
        ),
        "runs agree": (
            spreads[widest] <= MAX_SPREAD,
            f"The runs of {widest!r} differ by {spreads[widest]:.0%} of their median; "
            f"{MAX_SPREAD:.0%} is acceptable.",
        ),
        "synthetic batches are fastest": (
            slowdown <= 1,
            f"Synthetic batches give {rates[0]} images/s, files {rates[1]}.",
        ),
        "the baseline is not input-bound": (
            starved <= STARVED,
            f"{baseline.name} waits for input for {starved:.0%} of its step.",
        ),
        "efficiency is at most 100 %": (low <= 1, f"The efficiency is {low:.1%} to {high:.1%}."),
    }
    return tuple(
        ValidityCheck(name=name, holds=holds, sentence=sentence)
        for name, (holds, sentence) in checks.items()
    )
