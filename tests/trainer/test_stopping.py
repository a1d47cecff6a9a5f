"""The expected end of a run with a deadline."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.stopping import TimeBudget

STEP = 32


def walk(seconds: float, step_seconds: list[float], spent: float = 0.0) -> tuple[TimeBudget, float]:
    """Make steps of the given durations in turn until the end; the budget and the time."""
    budget = TimeBudget(position=0, step=STEP, end_position=0, seconds=seconds, spent_seconds=spent)
    now, position = 0.0, 0
    while not budget.ended:
        now += step_seconds[position // STEP % len(step_seconds)]
        position += STEP
        budget.advance(position, now)
    return budget, now


@given(st.lists(st.floats(0.5, 2), min_size=1, max_size=5), st.floats(20, 500), st.floats(0, 0.9))
def test_ends_within_a_few_steps_of_the_deadline(
    step_seconds: list[float], seconds: float, share: float
) -> None:
    budget, now = walk(seconds, step_seconds, spent=share * seconds)
    remaining = (1 - share) * seconds
    assert now <= remaining + max(step_seconds)
    assert now >= min(remaining - 2 * max(step_seconds), remaining)
    assert budget.spent_seconds == pytest.approx(share * seconds + now)


def test_extrapolates_the_rate_of_the_later_half() -> None:
    budget = TimeBudget(position=0, step=STEP, end_position=0, seconds=100.0)
    # Ten slow steps, then fast ones.
    for number in range(1, 11):
        budget.advance(number * STEP, number * 2.0)
    assert budget.end_position == pytest.approx(50 * STEP, abs=STEP)
    for number in range(11, 51):
        budget.advance(number * STEP, 20 + (number - 10) * 1.0)
    assert budget.end_position == pytest.approx(90 * STEP, abs=STEP)
    assert not budget.ended
    assert budget.has_room_for(39) and not budget.has_room_for(41)


def test_without_a_deadline_the_end_is_fixed() -> None:
    budget = TimeBudget(position=STEP, step=STEP, end_position=3 * STEP)
    budget.advance(2 * STEP, 1e9)
    assert (budget.end_position, budget.ended, budget.spent_seconds) == (3 * STEP, False, 0)
    budget.advance(3 * STEP, 1e9)
    assert budget.ended


def test_a_spent_budget_has_ended() -> None:
    budget = TimeBudget(position=64, step=STEP, end_position=0, seconds=10.0, spent_seconds=10.0)
    assert budget.ended and budget.end_position == 64
