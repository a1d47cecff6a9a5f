"""``python -m benchmarks.agreement``: the exchanges of ranks."""

import json
from multiprocessing.context import ForkServerContext
from pathlib import Path

import benchmarks.agreement
from tests.helpers.cli import invoke
from tests.helpers.processes import Torchrun


def test_exchanges_are_measured_on_two_ranks(tmp_path: Path, loaded: ForkServerContext) -> None:
    small = ("--runs", 1, "--warmup", 0, "--steps", 40, "--step-ms", 1)
    started = Torchrun(loaded, 2, benchmarks.agreement.__file__, *small, folder=tmp_path)
    exit_code, output = started.end()
    assert exit_code == 0, output
    record = json.loads(output.splitlines()[-1])
    every, maximum, sparse = (values[0] for values in record["values"].values())
    assert min(every, maximum, sparse) > 0
    assert list(record["exchanges"].values())[:2] == [40, 40]
    assert 1 < record["exchanges"]["2 ranks, maximum every K steps"] < 40


def test_one_rank_exchanges_nothing() -> None:
    result = invoke(benchmarks.agreement.main)
    assert result.exit_code == 2 and "torchrun" in result.output
