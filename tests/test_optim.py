"""The learning rate is a pure function of the position."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from trainer.config import RecipeConfig
from trainer.optim import Schedule, build_optimizer, build_schedule, set_learning_rate

schedules = st.builds(
    lambda peak, warmup, cosine: Schedule(
        peak=peak, warmup_position=warmup, end_position=warmup + cosine
    ),
    st.floats(1e-6, 100),
    st.integers(0, 10**7),
    st.integers(1, 10**9),
)


@given(schedules, st.floats(0, 1), st.floats(0, 1))
def test_rises_to_the_peak_then_falls(schedule: Schedule, a: float, b: float) -> None:
    early, late = sorted((a, b))
    rising = [schedule(part * schedule.warmup_position) for part in (early, late)]
    length = schedule.end_position - schedule.warmup_position
    falling = [schedule(schedule.warmup_position + part * length) for part in (early, late)]
    slack = 1e-9 * schedule.peak
    assert -slack <= rising[0] <= rising[1] + slack <= schedule.peak + 2 * slack
    assert schedule.peak + slack >= falling[0] >= falling[1] - slack >= -2 * slack


@given(schedules)
def test_ends_of_the_curve(schedule: Schedule) -> None:
    assert schedule(schedule.warmup_position) == pytest.approx(schedule.peak)
    assert schedule(schedule.end_position) == 0
    assert schedule(schedule.end_position + 1) == 0
    if schedule.warmup_position:
        assert schedule(0) == 0


def test_halfway_through_the_cosine_is_half_the_peak() -> None:
    assert Schedule(peak=2, warmup_position=10, end_position=30)(20) == pytest.approx(1)


@pytest.mark.parametrize(("epochs", "warmup"), [(90, 5), (10, 1), (1, 0.1)])
def test_warmup_is_five_epochs_at_most_a_tenth(epochs: float, warmup: float) -> None:
    config = RecipeConfig(epochs=epochs)
    schedule = build_schedule(config, samples=1000, end_position=int(1000 * epochs))
    assert schedule.warmup_position == pytest.approx(1000 * warmup)


@given(st.integers(1, 2**16))
def test_peak_is_linear_in_the_global_batch(size: int) -> None:
    config = RecipeConfig(global_batch_size=size, learning_rate=0.1)
    assert config.peak_learning_rate == pytest.approx(0.1 * size / 256)


def test_norms_and_biases_are_not_decayed() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
    optimizer = build_optimizer(model, RecipeConfig(weight_decay=0.5))
    shapes = {
        group["weight_decay"]: [tuple(parameter.shape) for parameter in group["params"]]
        for group in optimizer.param_groups
    }
    assert shapes == {0.5: [(4, 3, 3, 3), (2, 4)], 0.0: [(4,), (4,), (4,), (2,)]}
    set_learning_rate(optimizer, 0.25)
    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.25]
