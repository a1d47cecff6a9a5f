"""Options that every benchmark has."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.measuring.intervals import RUNS
from pipeline.options import Options, setting

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, kw_only=True)
class Measuring(Options):
    """How a benchmark measures, and where its result goes."""

    runs: int = setting(RUNS, "Runs that count, of each contender.", low=1)
    warmup: int = setting(1, "Runs of each before them that don't count.", low=0)
    output: str | None = setting(None, "File for the result, as one line of JSON.")


# For click.command: any option may come from the environment, --runs as BENCH_RUNS.
FROM_ENVIRONMENT = {"auto_envvar_prefix": "BENCH"}
