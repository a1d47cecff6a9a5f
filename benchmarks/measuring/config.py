"""Options that every benchmark has."""

from dataclasses import dataclass
from typing import Any

from benchmarks.measuring.intervals import RUNS
from pipeline.options import COUNT, NOT_NEGATIVE, Options, setting

# For click.command: every option can be set by an environment variable, --runs by BENCH_RUNS.
FROM_ENVIRONMENT = {"auto_envvar_prefix": "BENCH"}


def runs_setting(default: int) -> Any:
    """The option --runs with another default than that of ``Measuring``."""
    help_text = "Measured repetitions of each configuration."
    return setting(default, help_text, COUNT, not_with="--doctor")


@dataclass(frozen=True, kw_only=True)
class Measuring(Options):
    """How often a benchmark measures, and where it writes the result."""

    runs: int = runs_setting(RUNS)
    warmup: int = setting(
        1, "Repetitions of each configuration before measuring.", NOT_NEGATIVE, not_with="--doctor"
    )
    output: str | None = setting(None, "File for the result, as one line of JSON.")
