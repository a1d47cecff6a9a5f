"""Checks whether the figures of bench-scaling are reliable."""

from collections.abc import Sequence

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
    return (
        _check_cores(measurement, cores),
        _check_spread(measurement),
        _check_synthetic(measurement),
        _check_baseline(baseline),
        _check_efficiency(measurement, efficiencies),
    )


def _check_cores(measurement: LadderMeasurement, cores: int) -> ValidityCheck:
    ranks = -(-measurement.world_size // measurement.nodes)
    return ValidityCheck(
        name="each rank has a core",
        holds=ranks <= cores,
        sentence=f"A machine has {ranks} ranks, but cores for {cores}.",
    )


def _check_spread(measurement: LadderMeasurement) -> ValidityCheck:
    rungs = measurement.rungs
    # A loader that is faster than the model is not part of any share.
    is_slow = rungs[LOADER].median_seconds > rungs[SYNTHETIC].median_seconds
    names = (SYNTHETIC, WARM, *[LOADER] * is_slow)
    spreads = {name: spread(rungs[name].step_seconds) for name in names}
    widest = max(spreads, key=lambda name: spreads[name])
    return ValidityCheck(
        name="runs agree",
        holds=spreads[widest] <= MAX_SPREAD,
        sentence=f"The runs of {widest!r} differ by {spreads[widest]:.0%} of their median; at most "
        f"{MAX_SPREAD:.0%} is reliable.",
    )


def _check_synthetic(measurement: LadderMeasurement) -> ValidityCheck:
    synthetic, warm = (measurement.rungs[name].step_seconds for name in (SYNTHETIC, WARM))
    ratios = [above / below for above, below in zip(synthetic, warm, strict=True)]
    rates = (figure(measurement.images_per_second(name)) for name in (SYNTHETIC, WARM))
    return ValidityCheck(
        name="synthetic batches are fastest",
        # A difference that holds in nearly all runs is not chance.
        holds=median_interval(ratios).low <= 1,
        sentence="Synthetic batches give {} images/s, files {}.".format(*rates),
    )


def _check_baseline(baseline: LadderMeasurement) -> ValidityCheck:
    starved = attribute(step_times(baseline.rungs)).shares.input
    holds = starved <= STARVED
    advice = "." if holds else ": the efficiency hides the slow loader."
    return ValidityCheck(
        name="the baseline is not input-bound",
        holds=holds,
        sentence=f"{baseline.name} waits for input for {starved:.0%} of its step{advice}",
    )


def _check_efficiency(
    measurement: LadderMeasurement, efficiencies: Sequence[float]
) -> ValidityCheck:
    low, high = median_interval(efficiencies).limits
    return ValidityCheck(
        name="efficiency is at most 100 %",
        holds=low <= 1,
        sentence=f"The efficiency of {measurement.name} is {low:.1%} to {high:.1%}"
        + (": the baseline is slower than it should be." if low > 1 else "."),
    )
