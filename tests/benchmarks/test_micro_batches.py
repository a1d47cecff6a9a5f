"""``python -m benchmarks.micro_batches``: auto beside the number that it found."""

import json
from multiprocessing.context import ForkServerContext
from pathlib import Path

import benchmarks.micro_batches
from tests.helpers.processes import Torchrun


def test_both_ways_are_measured_on_two_ranks(tmp_path: Path, loaded: ForkServerContext) -> None:
    small = ("--runs", 2, "--warmup", 0, "--steps", 1, "--model", "resnet8", "--device", "cpu")
    small += ("--batch-size", 4, "--image-size", 32)
    started = Torchrun(loaded, 2, benchmarks.micro_batches.__file__, *small, folder=tmp_path)
    exit_code, output = started.end()
    assert exit_code == 0, output
    record = json.loads(output.splitlines()[-1])
    assert list(record["values"]) == ["2", "auto"]
    assert all(min(values) > 0 for values in record["values"].values())
