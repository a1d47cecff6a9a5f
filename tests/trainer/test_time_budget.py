"""The end of a run with a deadline, as seen from each step."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.time_budget import Horizon

STEP = 32


def walk(seconds: float, step_seconds: list[float], spent: float = 0.0) -> tuple[Horizon, float]:
    """Steps that take the given times in turn, until it ends; also when."""
    horizon = Horizon(position=0, step=STEP, end_position=0, seconds=seconds, spent_seconds=spent)
    now, position = 0.0, 0
    while not horizon.ended:
        now += step_seconds[position // STEP % len(step_seconds)]
        position += STEP
        horizon.move(position, now)
    return horizon, now


@given(
    st.lists(st.floats(0.5, 2), min_size=1, max_size=5),
    st.floats(20, 500),
    st.floats(0, 0.9),
)
def test_ends_within_a_few_steps_of_the_deadline(
    step_seconds: list[float], seconds: float, share: float
) -> None:
    horizon, now = walk(seconds, step_seconds, spent=share * seconds)
    left = (1 - share) * seconds
    assert now <= left + max(step_seconds)
    assert now >= min(left - 2 * max(step_seconds), left)
    assert horizon.spent_seconds == pytest.approx(share * seconds + now)


def test_the_end_is_seen_by_the_rate_of_the_later_half() -> None:
    horizon = Horizon(position=0, step=STEP, end_position=0, seconds=100.0)
    # Ten slow steps, then fast ones.
    for number in range(1, 11):
        horizon.move(number * STEP, number * 2.0)
    assert horizon.end_position == pytest.approx(50 * STEP, abs=STEP)
    for number in range(11, 51):
        horizon.move(number * STEP, 20 + (number - 10) * 1.0)
    assert horizon.end_position == pytest.approx(90 * STEP, abs=STEP)
    assert not horizon.ended
    assert horizon.leaves(39) and not horizon.leaves(41)


def test_without_a_deadline_the_end_stays() -> None:
    horizon = Horizon(position=STEP, step=STEP, end_position=3 * STEP)
    horizon.move(2 * STEP, 1e9)
    assert (horizon.end_position, horizon.ended, horizon.spent_seconds) == (3 * STEP, False, 0)
    horizon.move(3 * STEP, 1e9)
    assert horizon.ended


def test_a_deadline_that_has_passed() -> None:
    horizon = Horizon(position=64, step=STEP, end_position=0, seconds=10.0, spent_seconds=10.0)
    assert horizon.ended and horizon.end_position == 64
