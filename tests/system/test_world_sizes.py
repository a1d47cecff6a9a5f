"""A run resumes on other numbers of ranks with the same samples and losses."""

import time
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest
import torch

from tests.helpers.processes import exit_codes, kill, lines, start_ranks

# For a model without batch norm: gradients are summed in another order, in float32. docs/nodes.md
# states this tolerance.
LOSS_TOLERANCE = 1e-4


def test_killed_on_one_and_two_ranks_and_completed_on_four(
    digits_shards: Path, tmp_path: Path, loaded: ForkServerContext
) -> None:
    settings = {"shards": str(digits_shards), "threads": 1, "log_every": 1, "precision": "fp32"}
    settings |= {"global_batch_size": 64, "epochs": 2.0, "checkpoint_minutes": 1e-9}
    out = tmp_path / "parts"
    for ranks in (1, 2):
        before = saved_position(out)
        processes = start_ranks(loaded, ranks, out=str(out), **settings)
        while saved_position(out) == before:
            assert all(process.is_alive() for process in processes)
            time.sleep(0.01)
        kill(processes)
    assert exit_codes(start_ranks(loaded, 4, out=str(out), **settings)) == [0] * 4
    whole = tmp_path / "whole"
    assert exit_codes(start_ranks(loaded, 1, out=str(whole), **settings)) == [0]

    expected, steps = lines(whole, "train"), lines(out, "train")
    assert {step["process"] for step in steps} == {0, 1, 2}
    for name in ("position", "images", "learning_rate"):
        assert [step[name] for step in steps] == [step[name] for step in expected]
    losses = [step["loss"] for step in expected]
    assert [step["loss"] for step in steps] == pytest.approx(losses, rel=LOSS_TOLERANCE)
    assert [line["samples"] for line in lines(out, "evaluation")] == [180] * 2


def saved_position(out: Path) -> int:
    """Position of the newest checkpoint; 0 before the first."""
    if not (out / "checkpoint.pt").exists():
        return 0
    return int(torch.load(out / "checkpoint.pt", weights_only=True)["progress"]["position"])
