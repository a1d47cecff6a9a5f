"""How long a measurement of the loader takes: estimated by a trial, said first, and bounded."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from benchmarks.loader.config import LoaderBenchmark
from benchmarks.loader.setup import Setup
from benchmarks.loader.timed_batches import LoaderSpeed, TimedBatches
from benchmarks.measuring.alternate import Measurement, alternate
from pipeline.console import print_line
from pipeline.errors import MisuseError
from pipeline.text import plural

# Of the trial: at most so many images in a batch, and its duration after the first batches.
TRIAL_BATCH_SIZE, TRIAL_SECONDS = 32, 0.2


def measure(
    setup: Setup,
    candidates: Mapping[str, TimedBatches],
    *,
    runs: int | None = None,
    share: float = 1.0,
) -> list[Measurement]:
    """Say how long it takes, then measure the candidates as often as a `share` of --max-seconds
    allows, at most `runs` times, by default --runs.

    Raises ``MisuseError`` if a single repetition takes longer than that.
    """
    benchmark, limit = setup.benchmark, share * setup.benchmark.max_seconds
    asked = runs or benchmark.runs
    seconds = round_seconds(candidates.values(), try_loader(setup))
    what = plural(len(candidates), "row")
    require_time(benchmark, what, seconds, limit)
    runs, warmup = plan_rounds(seconds, runs=asked, warmup=benchmark.warmup, limit=limit)
    times = plural(runs, "time") + (f" instead of {asked}" if runs < asked else "")
    warm_up = f" after {plural(warmup, 'warm-up')}" if warmup else ""
    time = duration((runs + warmup) * seconds, benchmark, share)
    print_line(f"Measuring {what} {times}{warm_up}: {time}.")
    return alternate(candidates, runs=runs, warmup=warmup, limit_seconds=limit)


def try_loader(setup: Setup) -> LoaderSpeed:
    """The speed of the full loader in small batches, read without others ahead: in seconds, also if
    the measured batches take minutes."""
    config = replace(setup.config, prefetch=1, read_ahead=1)
    size = min(TRIAL_BATCH_SIZE, setup.benchmark.batch_size)
    trial = replace(setup.time_loader(config, size), seconds=TRIAL_SECONDS)
    trial()
    (lap,) = trial.laps
    return LoaderSpeed(
        first_batch_seconds=lap.first_batch_seconds, images_per_second=lap.images_per_second
    )


def round_seconds(candidates: Iterable[TimedBatches], speed: LoaderSpeed) -> float:
    """Duration of one call of each, if none is faster than the full loader."""
    return sum(candidate.expected_seconds(speed) for candidate in candidates)


def plan_rounds(seconds: float, *, runs: int, warmup: int, limit: float) -> tuple[int, int]:
    """Repetitions, at least one, and warm-up rounds of so many `seconds` that end within `limit`:
    as many as asked for, else fewer, with one warm-up round if several rounds fit."""
    rounds = max(1, int(limit / seconds))
    if rounds >= runs + warmup:
        return runs, warmup
    warmup = min(warmup, 1, rounds - 1)
    return min(runs, rounds - warmup), warmup


def duration(seconds: float, benchmark: LoaderBenchmark, share: float = 1.0) -> str:
    """The expected time and the longest one, a `share` of --max-seconds."""
    limit = share * benchmark.max_seconds
    option = "--max-seconds" if share == 1 else f"{share:.0%} of --max-seconds"
    return f"about {min(max(1.0, seconds), limit):,.0f} s, at most {limit:,.0f} s ({option})"


def require_time(benchmark: LoaderBenchmark, what: str, seconds: float, limit: float) -> None:
    """Raise ``MisuseError`` if a repetition of so many `seconds` does not end within `limit`."""
    if seconds > limit:
        raise MisuseError(
            f"One repetition of {what} takes about {seconds:,.0f} s, more than {limit:,.0f} s: "
            f"lower --batch-size {benchmark.batch_size}, --prefetch or --read-ahead, or give more "
            f"than --max-seconds {benchmark.max_seconds:g}."
        )
