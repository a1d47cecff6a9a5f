"""The parts of a step, from its measured times."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.scaling.points import build_points
from benchmarks.scaling.record import (
    COLD,
    LOADER,
    LOCKSTEP,
    NO_ALL_REDUCE,
    ONE_BATCH,
    PARTS,
    SYNTHETIC,
    WARM,
    LadderMeasurement,
    Parts,
    Point,
    Rung,
    read_points,
)
from benchmarks.scaling.stall_ladder import StepTimes, attribute, efficiency, limit, losses

seconds = st.floats(1e-6, 1e3)
step_times = st.builds(
    StepTimes,
    compute=seconds,
    waiting=st.floats(0, 1e3),
    synthetic=seconds,
    loader=seconds,
    warm=seconds,
    cold=st.none() | seconds,
)


def parts(**values: float) -> Parts:
    return Parts(**{name: values.get(name, 0.0) for name in PARTS})


@given(step_times)
def test_the_parts_add_up_to_the_step(times: StepTimes) -> None:
    split = attribute(times)
    assert all(value >= 0 for value in split.as_dict().values())
    assert split.total == pytest.approx(max(times.warm, times.cold or 0))
    assert split.shares.total == pytest.approx(1)


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        # A model of 30 ms that never waits.
        ({"loader": 20, "warm": 30}, parts(compute=30)),
        # The loader takes 50 while the model takes 30 of them.
        ({"loader": 50, "warm": 50}, parts(compute=30, input=20)),
        # Both need the same core and take turns.
        ({"loader": 20, "warm": 50}, parts(compute=30, interference=20)),
        ({"loader": 50, "warm": 80}, parts(compute=30, input=20, interference=30)),
        ({"loader": 20, "warm": 30, "cold": 70}, parts(compute=30, storage=40)),
        (
            {"compute": 15, "waiting": 5, "loader": 20, "warm": 40},
            parts(compute=15, waiting=5, communication=10, interference=10),
        ),
        # By chance a rank alone is slower than all together, or synthetic batches than real ones.
        (
            {"compute": 35, "waiting": 1, "loader": 20, "warm": 32},
            parts(compute=30, interference=2),
        ),
        ({"loader": 10, "warm": 28, "cold": 27}, parts(compute=28)),
    ],
)
def test_known_steps(times: dict[str, float], expected: Parts) -> None:
    defaults: dict[str, Any] = {"compute": 30, "waiting": 0, "synthetic": 30}
    assert attribute(StepTimes(**defaults | times)) == expected


@given(step_times, step_times, st.sampled_from([1.0, 0.5, 0.125]))
def test_losses_add_up_to_1_minus_efficiency(
    times: StepTimes, before: StepTimes, images_ratio: float
) -> None:
    split, baseline = attribute(times), attribute(before)
    total = losses(split, baseline, images_ratio=images_ratio).total
    ratio = efficiency(split.total, baseline.total, images_ratio=images_ratio)
    assert total == pytest.approx(1 - ratio, abs=1e-6 * max(1, ratio))


@pytest.mark.parametrize(
    ("shares", "bound"),
    [
        (parts(compute=0.7, input=0.3), "input"),
        (parts(compute=0.7, input=0.1, storage=0.2), "storage"),
        (parts(compute=0.97, input=0.03), "compute"),
        (parts(compute=0.4, communication=0.6), "communication"),
        (parts(compute=0.6, communication=0.4), "compute"),
        (parts(compute=0.3, waiting=0.7), "waiting"),
        (parts(compute=0.3, interference=0.7), "interference"),
    ],
)
def test_the_limit_of_a_step(shares: Parts, bound: str) -> None:
    assert limit(shares) == bound


def rung(*milliseconds: float, ranks: int = 1, wait: float | None = None) -> Rung:
    step = tuple(value / 1e3 for value in milliseconds)
    return Rung(
        step_seconds=step,
        rank_seconds=tuple((value,) * ranks for value in step),
        data_seconds=(0.0,) * len(step),
        wait_seconds=None if wait is None else (wait / 1e3,) * len(step),
        steps=4,
    )


def measured(world_size: int, rungs: Mapping[str, Rung], mode: str = "weak") -> LadderMeasurement:
    return LadderMeasurement(
        mode=mode,
        world_size=world_size,
        nodes=1,
        batch_size=8 if mode == "weak" else 8 // world_size,
        gradient_bytes=4_000_000,
        rungs=rungs,
        rank_cores=tuple((rank,) for rank in range(world_size)),
    )


def one_rank(warm: float = 32, loader: float = 10, cold: float = 32) -> dict[str, Rung]:
    return {
        SYNTHETIC: rung(30, 30, 30),
        WARM: rung(warm, warm, warm),
        COLD: rung(cold, cold, cold),
        LOADER: rung(loader, loader, loader),
    }


def two_ranks(synthetic: float = 40, warm: float = 42) -> dict[str, Rung]:
    return one_rank(warm=warm, cold=warm) | {
        NO_ALL_REDUCE: rung(30, 30, 30, ranks=2),
        LOCKSTEP: rung(36, 36, 36, ranks=2, wait=4),
        SYNTHETIC: rung(synthetic, synthetic, synthetic, ranks=2),
    }


def build(*points: LadderMeasurement, cores: int = 2, fits: bool = True) -> list[Point]:
    return build_points(points, cores=cores, fits_in_page_cache=fits)


def failed(point: Point) -> set[str]:
    return {check.name for check in point.checks if not check.holds}


def test_points() -> None:
    one, two = build(measured(1, one_rank()), measured(2, two_ranks()))
    assert (one.efficiency, one.losses) == (1, parts())
    assert two.efficiency == pytest.approx(32 / 42)
    assert two.losses.waiting == pytest.approx(4 / 42)
    assert two.losses.communication == pytest.approx(6 / 42)
    assert two.losses.compute == two.losses.interference == pytest.approx(0)
    assert two.shares.compute == pytest.approx(30 / 42)
    assert two.share_intervals["compute"] == pytest.approx((30 / 42, 30 / 42))
    assert two.images_per_second() == pytest.approx(16 / 0.042)
    assert not failed(one) and not failed(two)
    assert one.limit == "compute"
    assert one.sentence == (
        "weak, 1 rank: compute-bound: computing takes 94% of the step; training runs at 250.0 "
        "images/s, the model without input at 266.7, the loader without a model at 800.0; cold "
        "files are not measurably slower."
    )


def test_strong_scaling_is_compared_at_a_smaller_batch_of_a_rank() -> None:
    halves = {name: rung(16, 16, 16, ranks=2) for name in (NO_ALL_REDUCE, SYNTHETIC, WARM, LOADER)}
    _, two = build(measured(1, one_rank(), "strong"), measured(2, halves, "strong"))
    assert two.efficiency == pytest.approx(32 / 2 / 16)
    assert two.losses.total == pytest.approx(0)


def test_points_come_back_from_json() -> None:
    points = build(measured(1, one_rank()), measured(2, two_ranks()))
    text = json.dumps({"points": [point.to_dict() for point in points]})
    assert list(read_points(json.loads(text))) == points


def test_earlier_names_of_rungs_are_read() -> None:
    """Until 2026-11 the rungs were called apart, in step and replayed."""
    rungs = two_ranks() | {ONE_BATCH: rung(31, 31, 31, ranks=2)}
    (point,) = build(measured(2, rungs))
    record = json.loads(json.dumps(point.to_dict()))
    earlier = {NO_ALL_REDUCE: "apart", LOCKSTEP: "in step", ONE_BATCH: "replayed"}
    record["rungs"] = {earlier.get(name, name): value for name, value in record["rungs"].items()}
    assert read_points({"points": [record]}) == (point,)


def test_cold_files_decide_where_the_page_cache_is_too_small() -> None:
    slow = measured(1, one_rank(cold=80))
    (warm,), (cold,) = build(slow), build(slow, fits=False)
    assert (warm.limit, cold.limit) == ("compute", "storage")
    assert warm.sentence.endswith(
        "; cold files give 100.0 images/s, 40% of the rate of warm files."
    )
    assert "cold files give 100.0 images/s, warm files 250.0; reading takes 60%" in cold.sentence


def test_checks() -> None:
    starved = measured(1, one_rank(warm=60, loader=60))
    one, two = build(starved, measured(2, two_ranks()), cores=1)
    assert one.limit == "input"
    assert "the loader gives 133.3 images/s, the model could take 266.7" in one.sentence
    assert failed(one) == {"the baseline is not input-bound"}
    assert failed(two) == {
        "each rank has a core",
        "the baseline is not input-bound",
        "efficiency is at most 100 %",
    }
    (slow,) = build(measured(1, one_rank(warm=28) | {LOADER: rung(40, 40, 80)}))
    assert failed(slow) == {"runs agree", "synthetic batches are fastest"}
