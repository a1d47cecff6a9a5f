"""Options that every benchmark has."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.measuring.intervals import RUNS
from pipeline.options import setting, within

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, kw_only=True)
class Measuring:
    """How a benchmark measures, and where its result goes."""

    runs: int = setting(RUNS, "Runs that count, of each contender.")
    warmup: int = setting(1, "Runs of each before them that don't count.")
    output: str | None = setting(None, "File for the result, as one line of JSON.")

    def __post_init__(self) -> None:
        within("--runs", self.runs, 1)
        within("--warmup", self.warmup, 0)


# For click.command: any option may come from the environment, --runs as BENCH_RUNS.
FROM_ENVIRONMENT = {"auto_envvar_prefix": "BENCH"}
