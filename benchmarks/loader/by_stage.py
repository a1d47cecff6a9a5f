"""The stages of the loader from warm and cold files, and the stage that limits it."""

from collections.abc import Mapping

from benchmarks.loader.config import (
    AUGMENT,
    COLD,
    DECODE,
    EXPLANATIONS,
    FULL,
    HAND_OVER,
    READ,
    STAGES,
    LoaderBenchmark,
)
from benchmarks.loader.setup import Setup, open_setup
from benchmarks.loader.stages import stage_openers
from benchmarks.loader.time_plan import measure
from benchmarks.loader.timed_batches import TimedBatches
from benchmarks.measuring.alternate import Measurement
from benchmarks.measuring.page_cache import can_be_cold, resident_when_dropped
from benchmarks.measuring.result_file import BY_STAGE
from benchmarks.measuring.table import explain
from benchmarks.measuring.text import figure
from pipeline.build import TrainStream
from pipeline.config import PipelineConfig

# Stage -> what it adds to the previous one.
LIMITS = {
    READ: "Reading",
    DECODE: "Decoding",
    AUGMENT: "Augmenting",
    HAND_OVER: "Handing over to torch",
    FULL: "The loader's own work",
}
# Reads the files of the stages, so that a cold run leaves no cold files to a warm one.
_WARMING = "warming"
# If less of the bytes came from a disk, the files weren't cold, or the kernel does not count them.
_MIN_DISK_SHARE = 0.5


def measure_stages(benchmark: LoaderBenchmark, config: PipelineConfig) -> None:
    """Measure and report each stage."""
    with open_setup(benchmark, config) as setup:
        resident = None if setup.index.cache is not None else resident_when_dropped(setup.files)
        candidates = stage_candidates(setup, with_cold=can_be_cold(resident))
        measured = measure(setup, candidates)
    by_name = {row.name: row for row in measured}
    rows = {name: by_name[name] for name in (*STAGES, *COLD.values()) if name in by_name}
    figures = {name: candidates[name].figures(len(row.values)) for name, row in rows.items()}
    shares = stage_shares({name: rows[name].median for name in STAGES})
    explain(EXPLANATIONS)
    setup.report(
        "loader",
        list(rows.values()),
        figures,
        kind=BY_STAGE,
        facts={"share_of_time": shares, "resident_share_when_dropped": resident},
        columns={"share of time": {name: f"{share:.0%}" for name, share in shares.items()}},
        notes=_describe_cold(setup, resident, figures),
        finding=describe_limit(rows, shares),
    )


def stage_candidates(setup: Setup, *, with_cold: bool) -> dict[str, TimedBatches]:
    """The candidates of a round in their order: cold files, a warming one, warm files."""
    config, batch_size = setup.config, setup.benchmark.batch_size
    stream = TrainStream(
        setup.dataset,
        config,
        global_batch_size=batch_size,
        device=setup.device,
        split=setup.benchmark.split,
    )
    openers = stage_openers(stream, setup.loader(config, batch_size))
    candidates = {}
    if with_cold:
        for stage, name in COLD.items():
            candidates[name] = setup.time_batches(openers[stage], config, batch_size, cold=True)
        candidates[_WARMING] = setup.time_batches(openers[READ], config, batch_size)
    for stage, opener in openers.items():
        candidates[stage] = setup.time_batches(opener, config, batch_size)
    return candidates


def stage_shares(rates: Mapping[str, float]) -> dict[str, float]:
    """Share of an image's time that each stage adds to the previous one, from stage -> images/s.

    A stage that is faster than the previous one, by chance or by overlap, adds nothing.
    """
    seconds = [1 / rates[stage] for stage in STAGES]
    added = [
        max(after - before, 0.0) for before, after in zip([0.0, *seconds], seconds, strict=False)
    ]
    return {stage: each / sum(added) for stage, each in zip(STAGES, added, strict=True)}


def describe_limit(rows: Mapping[str, Measurement], shares: Mapping[str, float]) -> str:
    """The stage that takes most of the time, and the effect of cold files."""
    full, read = rows[FULL], rows[READ]
    limit = max(shares, key=lambda stage: shares[stage])
    sentence = (
        f"{LIMITS[limit]} is the limit: the full loader gives {figure(full.median)} images/s "
        f"({full.interval}), with {shares[limit]:.0%} of the time in that stage"
    )
    if limit != READ:
        sentence += f"; reading alone gives {figure(read.median)} images/s"
    if COLD[FULL] not in rows:
        return sentence + "."
    cold = rows[COLD[FULL]]
    if cold.interval.high < full.interval.low:
        return (
            f"{sentence}; from cold files the disk is the limit: {figure(cold.median)} images/s, "
            f"{cold.median / full.median:.0%} of the rate of warm files."
        )
    return f"{sentence}; cold files ({figure(cold.median)} images/s) are not measurably slower."


def _describe_cold(
    setup: Setup, resident: float | None, figures: Mapping[str, Mapping[str, float | None]]
) -> list[str]:
    """Why cold files weren't measured, or how cold they were."""
    if setup.index.cache is not None:
        return ["The shards are at a URL: cold files were not measured."]
    if not can_be_cold(resident):
        return [
            f"Cold files were not measured: {_share(resident)} of the shards stays in memory when "
            f"dropped from the page cache."
        ]
    read = figures[COLD[FULL]]["disk_bytes_share"]
    if read is None or read < _MIN_DISK_SHARE:
        return [
            f"The kernel counts {_share(read)} of the bytes of the cold rows as read from a disk, "
            f"and none on network file systems: the files may have been warmer."
        ]
    return []


def _share(share: float | None) -> str:
    return "an unknown share" if share is None else f"{share:.0%}"
