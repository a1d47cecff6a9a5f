"""Trainings that a benchmark would start by torchrun, in this process."""

from typing import Any

import pytest
from click.testing import CliRunner

from benchmarks.scaling import whole_trainings
from pipeline.errors import DataError
from trainer.__main__ import main as train


def train_here(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """From now on whole trainings run in this process; the modules started, in order."""
    starts: list[str] = []

    def in_this_process(benchmark: Any, ranks: int, *arguments: str, **_: Any) -> None:
        starts.append(arguments[1])
        result = CliRunner().invoke(train, arguments[2:])
        if result.exit_code:
            raise DataError(result.output)

    monkeypatch.setattr(whole_trainings, "torchrun", in_this_process)
    return starts
