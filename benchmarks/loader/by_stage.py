"""The rungs of the loader from warm and from cold files, and which of them is the limit."""

from collections.abc import Mapping
from typing import Any

from benchmarks.loader.config import (
    AUGMENT,
    COLD,
    DECODE,
    FULL,
    HAND_OVER,
    READ,
    STAGES,
    LoaderBenchmark,
)
from benchmarks.loader.setup import Setup, open_setup
from benchmarks.loader.stages import rungs
from benchmarks.loader.timed_batches import COLUMNS, TimedBatches
from benchmarks.measuring.alternate import Measurement, alternate
from benchmarks.measuring.page_cache import can_be_cold, resident_when_dropped
from benchmarks.measuring.result_file import BY_STAGE
from benchmarks.measuring.table import figure_columns, report
from benchmarks.measuring.text import figure
from pipeline.build import TrainStream
from pipeline.config import PipelineConfig

# What a stage adds to the one before, as a limit is called.
LIMITS = {
    READ: "Reading",
    DECODE: "Decoding",
    AUGMENT: "Augmenting",
    HAND_OVER: "Handing over to torch",
    FULL: "The loader's own work",
}
# Reads what the others will read, so that a cold run leaves no cold file to a warm one.
_WARMING = "warming"
# Less than this of the bytes read from a disk: the files weren't cold, or it can't be told.
_FROM_DISK = 0.5


def measure_rungs(benchmark: LoaderBenchmark, config: PipelineConfig) -> None:
    with open_setup(benchmark, config) as setup:
        facts = setup.facts()
        still_resident = _resident_when_dropped(setup)
        contenders = rung_contenders(setup, can_be_cold=can_be_cold(still_resident))
        measured = alternate(contenders, runs=benchmark.runs, warmup=benchmark.warmup)
    rows = {each.name: each for each in measured if each.name != _WARMING}
    rows = {name: rows[name] for name in (*STAGES, *COLD.values()) if name in rows}
    figures = {name: contenders[name].figures(benchmark.runs) for name in rows}
    shares = stage_shares({name: rows[name].median for name in STAGES})
    report(
        f"loader: {setup.title}",
        "images/s",
        list(rows.values()),
        kind=BY_STAGE,
        facts=facts
        | {
            "figures": figures,
            "share_of_time": shares,
            "resident_share_when_dropped": still_resident,
        },
        columns={"share of time": {name: f"{share:.0%}" for name, share in shares.items()}}
        | figure_columns(figures, COLUMNS),
        ratios=False,
        notes=_notes(setup, facts, still_resident, figures),
        finding=find_limit(rows, shares),
        output=benchmark.output,
    )


def rung_contenders(setup: Setup, *, can_be_cold: bool) -> dict[str, TimedBatches]:
    """In the order of a round: cold ones, a warming one, then the rungs."""
    config, batch_size = setup.config, setup.benchmark.batch_size
    stream = TrainStream(
        setup.dataset,
        config,
        global_batch_size=batch_size,
        device=setup.device,
        split=setup.benchmark.split,
    )
    openers = rungs(stream, setup.loader(config, batch_size))
    cold = {
        COLD[name]: setup.draws(openers[name], config, batch_size, cold=True)
        for name in (COLD if can_be_cold else ())
    }
    warming = {_WARMING: setup.draws(openers[READ], config, batch_size)} if cold else {}
    warm = {name: setup.draws(opener, config, batch_size) for name, opener in openers.items()}
    return {**cold, **warming, **warm}


def _resident_when_dropped(setup: Setup) -> float | None:
    """Share of the shards' pages in memory just after they were dropped; None where unknown."""
    return None if setup.index.cache is not None else resident_when_dropped(setup.files)


def stage_shares(rates: Mapping[str, float]) -> dict[str, float]:
    """Share of an image's time that each rung adds to the one before, from images/s by rung.

    A rung that comes out faster than the one before, by chance or since stages overlap, adds none.
    """
    seconds = [1 / rates[name] for name in STAGES]
    added = [
        max(after - before, 0.0) for before, after in zip([0.0, *seconds], seconds, strict=False)
    ]
    return {name: each / sum(added) for name, each in zip(STAGES, added, strict=True)}


def find_limit(rows: Mapping[str, Measurement], shares: Mapping[str, float]) -> str:
    """The sentence: which stage takes most of the time, and what cold files would make of it."""
    full, read = rows[FULL], rows[READ]
    limit = max(shares, key=lambda name: shares[name])
    span = f"{figure(full.interval.low)} to {figure(full.interval.high)}"
    sentence = (
        f"{LIMITS[limit]} is the limit: {figure(full.median)} images/s ({span}) in full, "
        f"{shares[limit]:.0%} of the time in that stage"
    )
    if limit != READ:
        sentence += f"; reading alone gives {figure(read.median)} images/s"
    if COLD[FULL] not in rows:
        return sentence + "."
    cold = rows[COLD[FULL]]
    if cold.interval.high < full.interval.low:
        return (
            f"{sentence}; from cold files the disk is the limit: {figure(cold.median)} images/s, "
            f"{cold.median / full.median:.0%}."
        )
    return f"{sentence}; cold files ({figure(cold.median)}) can't be told from warm ones."


def _notes(
    setup: Setup,
    facts: Mapping[str, Any],
    still_resident: float | None,
    figures: Mapping[str, Mapping[str, float | None]],
) -> list[str]:
    """What to know before the figures are trusted."""
    notes = setup.warnings(facts)
    if setup.index.cache is not None:
        notes.append("The shards lie at a URL: cold files were not measured.")
    elif not can_be_cold(still_resident):
        share = "an unknown share" if still_resident is None else f"{still_resident:.0%}"
        notes.append(
            f"Cold files were not measured: {share} of the shards stays in memory when dropped."
        )
    elif (read := figures[COLD[FULL]]["disk_bytes_share"]) is None or read < _FROM_DISK:
        share = "an unknown share" if read is None else f"{read:.0%}"
        notes.append(
            f"Of what the cold rows read the kernel counts {share} as read from a disk (on network "
            f"file systems it counts nothing): they may be less cold than they say."
        )
    return notes
