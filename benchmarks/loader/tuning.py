"""Settings of the loader for this machine, found by measuring one after the other."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.loader.config import LoaderBenchmark
from benchmarks.loader.setup import Setup, open_setup
from benchmarks.loader.timed_batches import TimedBatches
from benchmarks.measuring.alternate import Measurement, alternate, ratio
from benchmarks.measuring.table import report
from pipeline.config import PipelineConfig
from pipeline.errors import DataError
from pipeline.machine import available_cores

# After so long no further setting is tried, so that all ends within two minutes.
SEARCH_SECONDS = 60.0
SEARCH_RUNS = 3
# Rates this close can't be told apart in so few runs: the lower p99 decides.
ALIKE = 0.98
DEFAULTS, FOUND = "defaults", "found"


def measure_tuning(benchmark: LoaderBenchmark, config: PipelineConfig) -> None:
    """Search, measure what was found beside the defaults, and write the profile."""
    with open_setup(benchmark, config) as setup:
        facts = setup.facts()
        found, tried = search(setup)
        contenders = {
            DEFAULTS: setup.whole(config, benchmark.batch_size),
            FOUND: setup.whole(replace(config, **found), benchmark.batch_size),
        }
        rows = alternate(contenders, runs=benchmark.runs, warmup=benchmark.warmup)
        before, after = rows
        gain = ratio(after, before)
        start = _start(setup)
        is_gain = found != start and gain.interval.low > 1
        profile = found if is_gain else start
        figures = {name: each.figures(benchmark.runs) for name, each in contenders.items()}
        _write(profile, Path(benchmark.profile_out))
        report(
            f"loader tuned: {setup.title}",
            "images/s",
            rows,
            kind="bench-loader --tune",
            facts=facts
            | {
                "figures": figures,
                "profile": profile,
                "tried": tried,
                "gain": {
                    "median": gain.median,
                    "interval": (gain.interval.low, gain.interval.high),
                },
            },
            columns={
                "p99, ms": {
                    name: f"{1e3 * (each['batch_seconds_p99'] or 0):,.1f}"
                    for name, each in figures.items()
                },
                "settings": {DEFAULTS: _words(start), FOUND: _words(found)},
            },
            notes=[
                *setup.warnings(facts),
                f"Use it: python -m trainer --profile-file {benchmark.profile_out}",
            ],
            finding=say_gain(gain, found, start, benchmark.profile_out),
            output=benchmark.output,
        )


def search(setup: Setup) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The best value of each setting, the others held at the best so far; and what was tried."""
    best, tried = _start(setup), []
    began = time.monotonic()
    for name, values in candidates(setup, best).items():
        if time.monotonic() - began > SEARCH_SECONDS:
            break
        contenders = {
            str(value): setup.whole(
                replace(setup.config, **{**best, name: value}), setup.benchmark.batch_size
            )
            for value in values
        }
        rows = alternate(contenders, runs=SEARCH_RUNS)
        tried += [
            {**best, name: value, "images_per_second": row.values}
            for value, row in zip(values, rows, strict=True)
        ]
        best[name] = values[choose(rows, [_p99(each) for each in contenders.values()])]
    return best, tried


def choose(rows: Sequence[Measurement], p99_seconds: Sequence[float]) -> int:
    """The place of the row with the lowest p99 among those that are nearly as fast as the
    fastest."""
    fastest = max(row.median for row in rows)
    near = [place for place, row in enumerate(rows) if row.median >= ALIKE * fastest]
    return min(near, key=lambda place: p99_seconds[place])


def candidates(setup: Setup, start: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Values of each setting to try, that of `start` among them, by setting."""
    share = max(1, available_cores() // setup.ranks)
    threads = {max(1, share // 2), max(1, share * 3 // 4), share, start["threads"]}
    found: dict[str, list[Any]] = {
        "threads": sorted(threads),
        "prefetch": sorted({1, 2, 4, start["prefetch"]}),
        "read_ahead": sorted({1, 4, 8, start["read_ahead"]}),
    }
    if setup.device.type == "cuda":
        found["hw_decoder_load"] = sorted({0.5, 0.65, 0.8, 1.0, start["hw_decoder_load"]})
    return found


def say_gain(
    gain: Measurement, found: Mapping[str, Any], start: Mapping[str, Any], path: str
) -> str:
    """The sentence: what was won, or that nothing was."""
    rate = f"{gain.median:.2f} times ({gain.interval.low:.2f} to {gain.interval.high:.2f})"
    if found == start:
        return f"Nothing that was tried is faster than the defaults; {path} holds them."
    if gain.interval.low > 1:
        return f"{_words(found)} gives {rate} the rate of the defaults; {path} holds it."
    return f"No gain: {_words(found)} gives {rate} the rate of the defaults, which {path} holds."


def _start(setup: Setup) -> dict[str, Any]:
    """What training takes if it isn't told otherwise, or what was typed."""
    config = setup.config
    start = {
        "threads": config.threads or max(1, available_cores() // setup.ranks),
        "prefetch": config.prefetch,
        "read_ahead": config.read_ahead,
    }
    on_gpu = setup.device.type == "cuda"
    return start | ({"hw_decoder_load": config.hw_decoder_load} if on_gpu else {})


def _p99(draws: TimedBatches) -> float:
    return draws.figures(SEARCH_RUNS)["batch_seconds_p99"] or 0.0


def _words(settings: Mapping[str, Any]) -> str:
    return " ".join(f"--{name.replace('_', '-')} {value}" for name, value in settings.items())


def _write(profile: Mapping[str, Any], path: Path) -> None:
    try:
        path.write_text(json.dumps(profile, indent=1) + "\n")
    except OSError as error:
        raise DataError(f"--profile-out {path} can't be written ({error.strerror}).") from error
