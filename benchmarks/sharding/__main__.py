"""Compare the speed of ``tools/shard`` with the least that could do its work, and with its peers.

Commands are measured as a user runs them, from start to end; bare programs and peers also print the
time of their work without the start of Python and its processes. All encode with OpenCV at the same
settings. The files are in the page cache.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from benchmarks.measuring.config import FROM_ENVIRONMENT
from benchmarks.measuring.virtualenvs import prepare_peers
from benchmarks.sharding.comparisons import PEERS, Setup
from benchmarks.sharding.config import ShardingBenchmark
from benchmarks.sharding.parts import PARTS
from pipeline.options import Command, Option, options, pick_fields


@click.command(cls=Command, context_settings=FROM_ENVIRONMENT)
@options(ShardingBenchmark)
@click.option(
    "--part",
    "parts",
    cls=Option,
    type=click.Choice(list(PARTS)),
    multiple=True,
    help="Part to measure; can be repeated.  [default: all]",
)
def main(parts: Sequence[str], **values: Any) -> None:
    """Measure tools/shard, one part after the other. Each command runs once before the measured
    repetitions."""
    benchmark, parts = pick_fields(ShardingBenchmark, values), parts or list(PARTS)
    virtualenv = None
    if benchmark.peers and {"reencode", "small"} & set(parts):
        virtualenv = prepare_peers(Path(benchmark.environment), list(PEERS))
    with tempfile.TemporaryDirectory() as folder:
        setup = Setup(benchmark=benchmark, scratch=Path(folder), virtualenv=virtualenv)
        for part in parts:
            PARTS[part](setup)


if __name__ == "__main__":
    main()
