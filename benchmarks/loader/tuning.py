"""bench-loader --tune: settings of the loader for this machine, searched one after the other."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.loader.config import LoaderBenchmark
from benchmarks.loader.setup import Setup, open_setup
from benchmarks.loader.time_plan import duration, measure, require_time, round_seconds, try_loader
from benchmarks.loader.timed_batches import COLUMNS, TimedBatches
from benchmarks.measuring.alternate import Measurement, alternate, ratio
from pipeline.config import PipelineConfig
from pipeline.console import print_line
from pipeline.errors import DataError
from pipeline.limits.cores import rank_cores
from pipeline.options import flag_of
from pipeline.text import plural

SEARCH_RUNS = 3
# Of --max-seconds; the rest is for the comparison with the defaults.
SEARCH_SHARE = 0.5
# Rates of this ratio or closer can't be distinguished by so few runs: the lower p99 decides.
SIMILAR = 0.98
DEFAULTS, FOUND = "defaults", "found"
_P99 = "batch_seconds_p99"


def measure_tuning(benchmark: LoaderBenchmark, config: PipelineConfig) -> None:
    """Search, compare the best settings with the defaults, and write the profile."""
    with open_setup(benchmark, config) as setup:
        start, (best, tried) = _start(setup), search(setup)
        candidates = {
            DEFAULTS: setup.time_loader(config),
            FOUND: setup.time_loader(replace(config, **best)),
        }
        rows = measure(setup, candidates, share=1 - SEARCH_SHARE)
    gain = ratio(rows[1], rows[0])
    profile = best if best != start and gain.interval.low > 1 else start
    _write(profile, Path(benchmark.profile_out))
    setup.report(
        "loader tuned",
        rows,
        {row.name: candidates[row.name].figures(len(row.values)) for row in rows},
        kind="bench-loader --tune",
        facts={
            "profile": profile,
            "tried": tried,
            "gain": {"median": gain.median, "interval": gain.interval.limits},
        },
        formats={_P99: COLUMNS[_P99]},
        columns={"settings": {DEFAULTS: _flags(start), FOUND: _flags(best)}},
        ratios=True,
        notes=[f"Use the profile: python -m trainer --profile-file {benchmark.profile_out}"],
        finding=describe_gain(gain, best, start, benchmark.profile_out),
    )


def search(setup: Setup) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The best value of each setting, with the others at their best so far, and all trials, in
    SEARCH_SHARE of --max-seconds."""
    best, tried = _start(setup), []
    trials, limit = values_to_try(setup, best), SEARCH_SHARE * setup.benchmark.max_seconds
    seconds = _announce(setup, best, trials, limit)
    began = time.monotonic()
    for name, values in trials.items():
        left = limit - (time.monotonic() - began)
        # A warm-up and a repetition.
        if 2 * seconds[name] > left:
            break
        candidates = _candidates(setup, best, name, values)
        rows = alternate(candidates, runs=SEARCH_RUNS, limit_seconds=left)
        tried += [
            {**best, name: value, "images_per_second": row.values}
            for value, row in zip(values, rows, strict=True)
        ]
        best[name] = values[choose(rows, [_p99(each) for each in candidates.values()])]
    return best, tried


def _announce(
    setup: Setup, best: Mapping[str, Any], trials: Mapping[str, Sequence[Any]], limit: float
) -> dict[str, float]:
    """Say what is tried and how long it takes; return setting -> seconds of a round."""
    speed = try_loader(setup)
    seconds = {
        name: round_seconds(_candidates(setup, best, name, values).values(), speed)
        for name, values in trials.items()
    }
    require_time(setup.benchmark, "a setting's values", 2 * max(seconds.values()), limit)
    values = plural(sum(map(len, trials.values())), "value")
    time = duration((1 + SEARCH_RUNS) * sum(seconds.values()), setup.benchmark, SEARCH_SHARE)
    print_line(f"Trying {values} of {', '.join(map(flag_of, trials))}: {time}.")
    return seconds


def _candidates(
    setup: Setup, best: Mapping[str, Any], name: str, values: Sequence[Any]
) -> dict[str, TimedBatches]:
    return {
        f"{flag_of(name)} {value}": setup.time_loader(
            replace(setup.config, **{**best, name: value})
        )
        for value in values
    }


def choose(rows: Sequence[Measurement], p99_seconds: Sequence[float]) -> int:
    """Index of the row with the lowest p99 among those that are about as fast as the fastest."""
    fastest = max(row.median for row in rows)
    similar = [index for index, row in enumerate(rows) if row.median >= SIMILAR * fastest]
    return min(similar, key=lambda index: p99_seconds[index])


def values_to_try(setup: Setup, start: Mapping[str, Any]) -> dict[str, list[Any]]:
    """setting -> values, including that of `start`."""
    share = rank_cores(setup.ranks)
    values: dict[str, set[Any]] = {
        "threads": {max(1, share // 2), max(1, share * 3 // 4), share},
        "prefetch": {1, 2, 4},
        "read_ahead": {1, 4, 8},
        "hw_decoder_load": {0.5, 0.65, 0.8, 1.0},
    }
    return {name: sorted(values[name] | {value}) for name, value in start.items()}


def describe_gain(
    gain: Measurement, best: Mapping[str, Any], start: Mapping[str, Any], path: str
) -> str:
    """The gain of the best settings, or that there is none."""
    rate = f"{gain.median:.2f} times ({gain.interval.low:.2f} to {gain.interval.high:.2f})"
    if best == start:
        return f"No tried setting is faster than the defaults; {path} has the defaults."
    if gain.interval.low > 1:
        return f"{_flags(best)} gives {rate} the rate of the defaults; {path} has these settings."
    return f"No gain: {_flags(best)} gives {rate} the rate of the defaults, which {path} has."


def _start(setup: Setup) -> dict[str, Any]:
    """The settings of a training without a profile."""
    config = setup.config
    start = {
        "threads": config.threads or rank_cores(setup.ranks),
        "prefetch": config.prefetch,
        "read_ahead": config.read_ahead,
    }
    # Never switched on here: that is a question of correct pixels first, see docs/measuring.md.
    uses_engine = setup.device.type == "cuda" and config.hw_decoder_load > 0
    return start | ({"hw_decoder_load": config.hw_decoder_load} if uses_engine else {})


def _p99(candidate: TimedBatches) -> float:
    return candidate.figures(SEARCH_RUNS)[_P99] or 0.0


def _flags(settings: Mapping[str, Any]) -> str:
    return " ".join(f"{flag_of(name)} {value}" for name, value in settings.items())


def _write(profile: Mapping[str, Any], path: Path) -> None:
    try:
        path.write_text(json.dumps(profile, indent=1) + "\n")
    except OSError as error:
        raise DataError(f"--profile-out {path} can't be written ({error.strerror}).") from error
