"""What was measured at each size -> points: shares, efficiency, its losses, a sentence, gates."""

from collections.abc import Sequence
from operator import itemgetter

from benchmarks.measuring.intervals import median_interval
from benchmarks.scaling.record import COLD, PARTS, WARM, Measured, Point, Rung
from benchmarks.scaling.stall_ladder import attribute, efficiency, limit, losses, step_times
from benchmarks.scaling.text import sentence
from benchmarks.scaling.validity import check_gates


def build_points(
    measured: Sequence[Measured], *, cores: int, fits_in_page_cache: bool
) -> list[Point]:
    """A point for each, beside the smallest size of its mode.

    `cores` are those of a machine that the ranks there may use; where the files don't fit into the
    page cache, the step from cold files decides what the limit is.
    """
    points = []
    for each in measured:
        baseline = min(
            (other for other in measured if other.mode == each.mode),
            key=lambda other: other.world_size,
        )
        points.append(_point(each, baseline, cores=cores, from_cold=not fits_in_page_cache))
    return points


def _point(measured: Measured, baseline: Measured, *, cores: int, from_cold: bool) -> Point:
    images_ratio = measured.batch_size / baseline.batch_size
    rungs = measured.rungs
    seconds = attribute(step_times(rungs))
    cold_shares = attribute(step_times(rungs, cold=True)).shares if COLD in rungs else None
    decisive = cold_shares if from_cold and cold_shares else seconds.shares
    found = efficiency(
        rungs[WARM].median_seconds, baseline.rungs[WARM].median_seconds, images_ratio=images_ratio
    )
    by_run = _efficiencies(rungs[WARM], baseline.rungs[WARM], images_ratio)
    interval = median_interval(by_run)
    efficiency_interval = (interval.low, interval.high)
    return Point(
        **vars(measured),
        shares=seconds.shares,
        cold_shares=cold_shares,
        share_intervals=_share_intervals(measured),
        efficiency=found,
        efficiency_interval=efficiency_interval,
        losses=losses(seconds, attribute(step_times(baseline.rungs)), images_ratio=images_ratio),
        limit=limit(decisive),
        sentence=sentence(measured, decisive),
        gates=check_gates(measured, baseline, by_run, cores=cores),
    )


def _efficiencies(warm: Rung, baseline: Rung, images_ratio: float) -> list[float]:
    """Of runs that followed each other, since what drifts falls on both."""
    pairs = zip(warm.step_seconds, baseline.step_seconds, strict=True)
    return [efficiency(own, other, images_ratio=images_ratio) for own, other in pairs]


def _share_intervals(measured: Measured) -> dict[str, tuple[float, float]]:
    rungs = measured.rungs
    by_run = [
        attribute(step_times(rungs, itemgetter(run))).shares.as_dict()
        for run in range(len(rungs[WARM].step_seconds))
    ]
    intervals = {name: median_interval([shares[name] for shares in by_run]) for name in PARTS}
    return {name: (each.low, each.high) for name, each in intervals.items()}
