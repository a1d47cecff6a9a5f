"""How many steps lie between two exchanges of the ranks."""

import itertools
from collections.abc import Sequence
from math import inf

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import trainer.distributed.agreement as agreement
from trainer.distributed.agreement import (
    GROWTH,
    LONGEST_SECONDS,
    SHARE,
    Agreement,
    Window,
    steps_to_next,
)
from trainer.distributed.collectives import World
from trainer.stopping import TimeBudget

STEP = 32
windows = st.lists(
    st.builds(
        Window,
        steps=st.integers(1, 1000),
        seconds=st.floats(1e-4, 100),
        exchange_seconds=st.floats(1e-6, 1),
    ),
    min_size=1,
    max_size=8,
)


@given(windows, st.floats(0, 1e4) | st.just(inf))
def test_an_exchange_comes_in_time(history: list[Window], remaining: float) -> None:
    steps = steps_to_next(history, remaining)
    slowest = max(window.seconds / window.steps for window in history)
    assert 1 <= steps <= GROWTH * max(window.steps for window in history)
    if steps > 1:
        assert steps * slowest <= min(LONGEST_SECONDS, remaining / 2) * (1 + 1e-9)


@given(windows)
def test_exchanges_take_their_share_and_no_less(history: list[Window]) -> None:
    steps = steps_to_next(history)
    fastest, mean = min(w.exchange_seconds for w in history), sum(w.seconds for w in history)
    mean /= sum(w.steps for w in history)
    if steps > 1:
        # One step fewer would take more than the share, even if an exchange took the longest.
        assert max(w.exchange_seconds for w in history) > SHARE * mean * (steps - 1) * (1 - 1e-9)
    slowest = max(w.seconds / w.steps for w in history)
    limit = min(GROWTH * max(w.steps for w in history), LONGEST_SECONDS // slowest)
    assert fastest <= SHARE * mean * steps * (1 + 1e-9) or steps >= limit


@given(windows, st.floats(1, 10))
def test_a_slower_exchange_never_comes_more_often(history: list[Window], factor: float) -> None:
    slower = [
        Window(steps=w.steps, seconds=w.seconds, exchange_seconds=w.exchange_seconds * factor)
        for w in history
    ]
    assert steps_to_next(slower) >= steps_to_next(history)


def test_known_numbers_of_steps() -> None:
    def steps(step_seconds: float, exchange_seconds: float) -> int:
        window = Window(steps=100, seconds=100 * step_seconds, exchange_seconds=exchange_seconds)
        return steps_to_next([window] * 3)

    assert steps_to_next([]) == 1
    assert steps(0.1, 0.0002) == 1
    assert steps(0.01, 0.0002) == 8
    assert steps(0.1, 0.004) == 16
    # 2 s are the limit.
    assert steps(0.1, 1.0) == 20
    assert steps(5.0, 1.0) == 1


class Clock:
    """A rank of two whose time passes in steps and exchanges only."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, exchange_seconds: float) -> None:
        self.now, self.exchanges = 0.0, 0
        clock = self

        class Rank(World):
            def all_reduce_max(self, values: Sequence[float]) -> list[float]:
                clock.now += exchange_seconds
                clock.exchanges += 1
                return list(values)

        self.world = Rank(world_size=2, device=torch.device("cpu"))
        monkeypatch.setattr(agreement.time, "perf_counter", lambda: self.now)


@pytest.mark.parametrize("seconds", [0.004, 0.05])
def test_exchanges_of_a_long_run_take_little_time(
    monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    clock = Clock(monkeypatch, exchange_seconds=0.001)
    one = Agreement(clock.world)
    for number in range(1, 5001):
        clock.now += seconds
        if one.add_step() or number % 100 == 0:
            one.exchange([0.0], clock.now)
            one.plan(inf)
    assert 0.2 * SHARE < clock.exchanges * 0.001 / clock.now < 2 * SHARE


@given(
    st.lists(st.floats(0.01, 0.02), min_size=1, max_size=5), st.floats(5, 50), st.floats(1e-5, 1e-2)
)
def test_a_timed_run_ends_by_its_deadline(
    step_seconds: list[float], seconds: float, exchange_seconds: float
) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        clock = Clock(monkeypatch, exchange_seconds=exchange_seconds)
        one = Agreement(clock.world)
        budget = TimeBudget(position=0, step=STEP, end_position=0, seconds=seconds)
        steps = 0
        while not budget.ended:
            clock.now += step_seconds[steps % len(step_seconds)]
            steps += 1
            if one.add_step():
                elapsed = one.exchange([], clock.now)[-1]
                budget.advance(steps * STEP, elapsed)
                one.plan(budget.remaining_seconds)
    longest = max(step_seconds) + exchange_seconds
    assert seconds - 3 * longest <= clock.now <= seconds + longest


def test_a_pause_is_no_time_of_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, exchange_seconds=0.001)
    one = Agreement(clock.world)

    def steps_between(count: int) -> list[int]:
        exchanged = []
        for number in range(count):
            clock.now += 0.01
            if one.add_step():
                exchanged.append(number)
                one.exchange([], clock.now)
                one.plan(inf)
        return [after - before for before, after in itertools.pairwise(exchanged)]

    before = steps_between(1000)[-1]
    assert before == 40
    clock.now += 100.0
    one.pause()
    # The first step afterwards begins a new interval.
    assert steps_between(1000)[1] == before


def test_one_rank_exchanges_after_each_step() -> None:
    one = Agreement(World(device=torch.device("cpu")))
    for number in range(1, 100):
        assert one.add_step()
        assert one.exchange([float(number)], number * 1e-3) == [number, number * 1e-3]
        one.plan(inf)
