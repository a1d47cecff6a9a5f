"""Runs of ``benchmarks.sharding`` in this process, on little data."""

import json
from typing import Any

from click.testing import CliRunner, Result

from benchmarks.sharding.__main__ import main

TINY = ("--images", "20", "--small-images", "30", "--csv-rows", "20", "--largest", "4000")


def ran(*arguments: str) -> Result:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    return result


def record_of(result: Result) -> dict[str, Any]:
    (line,) = (line for line in result.output.splitlines() if line.startswith("{"))
    assert result.output.endswith(f"{line}\n")
    record: dict[str, Any] = json.loads(line)
    return record
