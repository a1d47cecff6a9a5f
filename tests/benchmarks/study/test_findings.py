"""The answers of bench-study, from results of its trials."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.report.study_record import Configuration, TrialResult
from benchmarks.scaling.record import STRONG, Parts, Point
from benchmarks.study.configurations import group_results
from benchmarks.study.findings import (
    answer_accuracy,
    answer_faster,
    answer_node,
    answer_plateau,
    find_speed_up,
)
from benchmarks.study.trials import Trial


def result(framework: str, ranks: int, seed: int = 0, **values: Any) -> tuple[Trial, TrialResult]:
    plain: dict[str, Any] = {"seconds": 100.0, "epochs": 3.0, "images_per_second": 50.0}
    plain |= {"start_seconds": 1.0, "data_seconds": 1.0, "compute_seconds": 90.0, "starts": 1}
    plain |= {"score": 0.9, "best": 0.9, "evaluated": 10_000, "target_seconds": None}
    trial = Trial(framework=framework, ranks=ranks, seed=seed, directory=Path())
    return trial, TrialResult(cell=str(trial), **{**plain, **values})


def group(*results: tuple[Trial, TrialResult]) -> list[Configuration]:
    return group_results(dict(results))


def test_faster_means_time_to_the_end_or_epochs_in_a_fixed_time() -> None:
    configurations = group(result("pytorch", 2, seconds=60.0), result("pytorch", 1))
    answer = answer_faster(configurations, timed=False, target=None)
    assert (
        "finish after 1:00 instead of 1:40 on 1 rank: 1.67 times as fast (ideal: 2 times)" in answer
    )
    assert (
        find_speed_up(configurations)
        == "PyTorch, 2 ranks train at 1.00 times the images/s of 1 rank."
    )
    timed = group(result("keras", 1, epochs=2.0), result("keras", 4, epochs=6.0))
    answer = answer_faster(timed, timed=True, target=None)
    assert "Keras, 4 ranks train 6.00 epochs instead of 2.00 on 1 rank: 3.00 times" in answer
    reached = [result("keras", ranks, target_seconds=80.0 / ranks) for ranks in (1, 2)]
    assert "reach 75% after 0:40 instead of 1:20" in answer_faster(
        group(*reached), timed=False, target=0.75
    )
    assert "nothing to compare" in answer_faster(configurations[:1], timed=False, target=None)


def test_accuracy_holds_within_the_spread_of_seeds() -> None:
    def answer(*scores: tuple[int, int, float], evaluated: int = 10_000) -> str:
        results = [
            result("pytorch", ranks, seed, score=top1, evaluated=evaluated)
            for ranks, seed, top1 in scores
        ]
        return answer_accuracy(group(*results), "top1")

    close = answer((1, 0, 0.90), (1, 1, 0.92), (2, 0, 0.915), (2, 1, 0.915))
    assert (
        "0.50 percentage points; seeds of one configuration differ by up to 2.00 percentage"
        in close
    )
    assert "accuracy holds" in close
    assert "accuracy differs" in answer((1, 0, 0.9), (1, 1, 0.91), (2, 0, 0.8), (2, 1, 0.81))
    # By hand: 1.96 * sqrt(2 * 0.9775 * 0.0225 / 400).
    few = answer((1, 0, 0.98), (1, 1, 0.98), (2, 0, 0.975), (2, 1, 0.975), evaluated=400)
    assert "chance on 400 images makes up to 2.06 percentage points: accuracy holds" in few
    assert "one seed does not show the spread" in answer((1, 0, 0.9), (2, 0, 0.8))
    assert "no validation split" in answer_accuracy(group(result("pytorch", 1, score=None)), "top1")
    fits = group(*(result("pytorch", ranks, score=0.5 + ranks / 10) for ranks in (1, 2)))
    assert "R2 is from 0.6000 (PyTorch, 1 rank) to 0.7000" in answer_accuracy(fits, "r2")


def test_a_plateau_is_explained() -> None:
    configurations = group(result("pytorch", 1), result("pytorch", 2, images_per_second=60.0))
    assert configurations[1].efficiency == pytest.approx(0.6)
    nothing = dict.fromkeys(("compute", "waiting", "interference", "input", "storage"), 0.0)
    losses = Parts(**{**nothing, "communication": 0.3, "compute": 0.1})
    point = Point(
        mode=STRONG,
        world_size=2,
        nodes=1,
        batch_size=4,
        gradient_bytes=1,
        rungs={},
        rank_cores=(),
        shares=losses,
        cold_shares=None,
        share_intervals={},
        efficiency=0.6,
        efficiency_interval=(0.5, 0.7),
        losses=losses,
        limit="communication",
        sentence="It is bound by communication.",
        checks=(),
    )
    answer = answer_plateau(configurations, [point])
    assert "PyTorch flattens: the efficiency on 2 ranks is 60% (strong scaling)." in answer
    assert "2 ranks lose 30% to communication, 10% to compute of a step; It is bound" in answer


def test_a_second_node_is_predicted() -> None:
    prediction = {
        "median": {"1 rank": 10.0, "2 ranks": 18.0, "4 ranks": 27.0},
        "predictions": [
            {"ranks": 1, "limit": "compute"},
            {"ranks": 2, "limit": "compute"},
            {"ranks": 4, "limit": "communication"},
        ],
    }
    answer = answer_node(prediction, 2)
    assert "27.00 images/s instead of 18.00 with a second node of 2 ranks, 1.50 times" in answer
    assert "the first limit is communication" in answer
    assert answer_node(prediction, 8) == "bench-predict made no prediction for 16 ranks."
