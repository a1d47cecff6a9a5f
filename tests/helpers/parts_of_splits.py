"""Trainings of the tiny model on a part of small splits, on one and on two ranks."""

from pathlib import Path
from typing import Any

import pytest

from tests.helpers.processes import lines

SAMPLES = {"train": 31, "val": 14, "test": 6}


def part_settings(shards: Path, out: Path, **settings: Any) -> dict[str, Any]:
    """Settings of a run of two epochs that logs each step."""
    fixed = {"epochs": 2.0, "global_batch_size": 6, "image_size": 32, "threads": 1}
    fixed |= {"device": "cpu", "precision": "fp32", "log_every": 1}
    return {**fixed, "shards": str(shards), "out": str(out), **settings}


def assert_trained_alike(one: Path, two: Path, *, positions: list[int], evaluated: int) -> None:
    """The runs `one` and `two` have made the same steps, to `positions`, and the same two
    evaluations of so many samples."""
    trained = [lines(out, "train") for out in (one, two)]
    assert [line["position"] for line in trained[1]] == positions
    losses = [line["loss"] for line in trained[0]]
    assert [line["loss"] for line in trained[1]] == pytest.approx(losses, rel=1e-4)
    counts = [
        [(line["samples"], line["top1_correct"]) for line in lines(out, "evaluation")]
        for out in (one, two)
    ]
    assert counts[0] == counts[1]
    assert [samples for samples, _ in counts[0]] == [evaluated, evaluated]
