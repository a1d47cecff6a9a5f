"""What must hold for a figure of scaling to be trusted."""

from collections.abc import Sequence

from benchmarks.measuring.intervals import median_interval, spread
from benchmarks.measuring.text import figure
from benchmarks.scaling.record import LOADER, SYNTHETIC, WARM, Measured, ValidityCheck
from benchmarks.scaling.stall_ladder import STARVED, attribute, step_times

# (highest - lowest) / median of a rung's runs, from which on its median says little.
WIDE = 0.25


def check_gates(
    measured: Measured, baseline: Measured, efficiencies: Sequence[float], *, cores: int
) -> tuple[ValidityCheck, ...]:
    """All gates, in the order of what to mend first. `efficiencies` are those of each run; `cores`
    those of a machine that its ranks may use."""
    return (
        _enough_cores(measured, cores),
        _narrow(measured),
        _synthetic_is_fastest(measured),
        _baseline_is_fed(baseline),
        _efficiency_is_possible(measured, efficiencies),
    )


def _enough_cores(measured: Measured, cores: int) -> ValidityCheck:
    ranks = -(-measured.world_size // measured.nodes)
    return ValidityCheck(
        name="each rank has a core",
        holds=ranks <= cores,
        sentence=f"Ranks on a machine: {ranks}; cores there: {cores}.",
    )


def _narrow(measured: Measured) -> ValidityCheck:
    rungs = measured.rungs
    # A loader that is faster than the model is part of no share.
    counts = rungs[LOADER].median_seconds > rungs[SYNTHETIC].median_seconds
    names = (SYNTHETIC, WARM, *[LOADER] * counts)
    spreads = {name: spread(rungs[name].step_seconds) for name in names}
    widest = max(spreads, key=lambda name: spreads[name])
    return ValidityCheck(
        name="runs agree",
        holds=spreads[widest] <= WIDE,
        sentence=f"The runs of {widest!r} lie within {spreads[widest]:.0%} of their median; "
        f"{WIDE:.0%} is the most.",
    )


def _synthetic_is_fastest(measured: Measured) -> ValidityCheck:
    synthetic, warm = (measured.rungs[name] for name in (SYNTHETIC, WARM))
    pairs = zip(synthetic.step_seconds, warm.step_seconds, strict=True)
    ratio = median_interval([of / beside for of, beside in pairs])
    rates = (figure(measured.images_per_second(name)) for name in (SYNTHETIC, WARM))
    return ValidityCheck(
        name="synthetic batches are fastest",
        # What is left of a difference that holds in nearly all runs is no chance.
        holds=ratio.low <= 1,
        sentence="Synthetic batches give {} images/s, files {}.".format(*rates),
    )


def _baseline_is_fed(baseline: Measured) -> ValidityCheck:
    starved = attribute(step_times(baseline.rungs)).shares.input
    return ValidityCheck(
        name="the baseline is not input-bound",
        holds=starved <= STARVED,
        sentence=f"{baseline.name} loses {starved:.0%} of its step to input: "
        + (
            "more ranks hide how slow the loader is."
            if starved > STARVED
            else "speed-up is the model's."
        ),
    )


def _efficiency_is_possible(measured: Measured, efficiencies: Sequence[float]) -> ValidityCheck:
    interval = median_interval(efficiencies)
    return ValidityCheck(
        name="efficiency is at most 100 %",
        holds=interval.low <= 1,
        sentence=f"The efficiency of {measured.name} is {interval.low:.1%} to {interval.high:.1%}"
        + (": the baseline is slower than it should be." if interval.low > 1 else "."),
    )
