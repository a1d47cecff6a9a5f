"""Measurements of the stall ladder -> points with shares, efficiency, losses and checks."""

from collections.abc import Sequence
from operator import itemgetter

from benchmarks.measuring.intervals import median_interval
from benchmarks.scaling.record import COLD, PARTS, WARM, LadderMeasurement, Point
from benchmarks.scaling.stall_ladder import attribute, efficiency, limit, losses, step_times
from benchmarks.scaling.text import describe_limit
from benchmarks.scaling.validity import check_validity


def build_points(
    measurements: Sequence[LadderMeasurement], *, cores: int, fits_in_page_cache: bool
) -> list[Point]:
    """A point for each measurement; its baseline is the smallest size of the same mode.

    `cores`: number of ranks that a machine has cores for. The limit is that of the step from cold
    files if the files don't fit into the page cache.
    """
    baselines: dict[str, LadderMeasurement] = {}
    for measurement in sorted(measurements, key=lambda measurement: measurement.world_size):
        baselines.setdefault(measurement.mode, measurement)
    return [
        _point(each, baselines[each.mode], cores=cores, prefer_cold=not fits_in_page_cache)
        for each in measurements
    ]


def _point(
    measurement: LadderMeasurement, baseline: LadderMeasurement, *, cores: int, prefer_cold: bool
) -> Point:
    images_ratio = measurement.batch_size / baseline.batch_size
    rungs, warm, baseline_warm = measurement.rungs, measurement.rungs[WARM], baseline.rungs[WARM]
    seconds = attribute(step_times(rungs))
    cold_shares = attribute(step_times(rungs, cold=True)).shares if COLD in rungs else None
    decisive = cold_shares if prefer_cold and cold_shares else seconds.shares
    # Runs of one round share the drift.
    by_run = [
        efficiency(step, baseline_step, images_ratio=images_ratio)
        for step, baseline_step in zip(warm.step_seconds, baseline_warm.step_seconds, strict=True)
    ]
    return Point(
        **vars(measurement),
        shares=seconds.shares,
        cold_shares=cold_shares,
        share_intervals=_share_intervals(measurement),
        efficiency=efficiency(
            warm.median_seconds, baseline_warm.median_seconds, images_ratio=images_ratio
        ),
        efficiency_interval=median_interval(by_run).limits,
        losses=losses(seconds, attribute(step_times(baseline.rungs)), images_ratio=images_ratio),
        limit=limit(decisive),
        sentence=describe_limit(measurement, decisive),
        checks=check_validity(measurement, baseline, by_run, cores=cores),
    )


def _share_intervals(measurement: LadderMeasurement) -> dict[str, tuple[float, float]]:
    runs = range(len(measurement.rungs[WARM].step_seconds))
    by_run = [
        attribute(step_times(measurement.rungs, itemgetter(run))).shares.as_dict() for run in runs
    ]
    return {name: median_interval([run[name] for run in by_run]).limits for name in PARTS}
