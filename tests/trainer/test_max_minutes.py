"""``--max-minutes``: a run ends by the deadline with a learning rate of 0, on 1 and 2 ranks."""

import functools
import itertools
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import pytest
import torch

import trainer.setup
from tests.helpers.processes import exit_codes, lines, start_ranks
from trainer.stopping import TimeBudget

SIZE = 64
TICK_SECONDS = 0.05
MINUTES = 0.05
ROUNDING = 1e-6


def tick(rank: int) -> None:
    """Replace the clock by one that advances at each reading, once per step; more on rank 1."""
    ticks = itertools.count()
    step_seconds = TICK_SECONDS * (1 + rank)
    trainer.setup.TimeBudget = functools.partial(  # type: ignore[assignment, misc]
        TimeBudget, clock=lambda: step_seconds * next(ticks)
    )


@pytest.mark.parametrize("ranks", [1, 2])
def test_ends_by_the_deadline_with_the_rate_at_zero(
    digits_shards: Path, tmp_path: Path, loaded: ForkServerContext, ranks: int
) -> None:
    settings = {"shards": str(digits_shards), "out": str(tmp_path), "threads": 1, "log_every": 1}
    settings |= {"global_batch_size": SIZE, "learning_rate": 0.05}

    def train_for(minutes: float) -> dict[str, Any]:
        processes = start_ranks(
            loaded, ranks, prepare=tick, max_minutes=minutes, val_every=0, **settings
        )
        assert exit_codes(processes) == [0] * ranks
        progress: dict[str, Any] = torch.load(tmp_path / "checkpoint.pt", weights_only=True)[
            "progress"
        ]
        assert progress["evaluated_position"] == progress["position"]
        return progress

    first = train_for(MINUTES)
    steps = lines(tmp_path, "train")
    step_seconds = TICK_SECONDS * ranks
    # The evaluation after the deadline reads the clock twice.
    seconds = first["spent_seconds"] - 2 * step_seconds
    assert 60 * MINUTES - 2 * step_seconds < seconds < 60 * MINUTES + ROUNDING
    assert len(steps) == round(seconds / step_seconds)
    rates = [step["learning_rate"] for step in steps]
    assert rates[-1] < 0.01 * max(rates)
    (evaluation,) = lines(tmp_path, "evaluation")
    assert evaluation["position"] == steps[-1]["position"]
    # The run is complete, and continues with a longer budget.
    assert train_for(MINUTES) == first
    longer = train_for(2 * MINUTES)
    assert longer["position"] > first["position"]
    assert longer["spent_seconds"] < 120 * MINUTES + 2 * step_seconds + ROUNDING


def test_ends_by_the_deadline_in_wall_time(
    digits_shards: Path, tmp_path: Path, loaded: ForkServerContext
) -> None:
    seconds = 60 * MINUTES
    settings = {"shards": str(digits_shards), "out": str(tmp_path), "threads": 1, "log_every": 1}
    processes = start_ranks(loaded, 1, max_minutes=MINUTES, global_batch_size=SIZE, **settings)
    assert exit_codes(processes) == [0]
    steps = lines(tmp_path, "train")
    ends = [0.0, *(step["elapsed_seconds"] for step in steps)]
    longest = max(after - before for before, after in itertools.pairwise(ends))
    # A step starts only if it fits, assuming the duration of the last one.
    assert steps[-1]["elapsed_seconds"] <= seconds + longest
