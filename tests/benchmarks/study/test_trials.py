"""Trials of bench-study: planned, done, rejected, and read."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.study.trials import Trial, check_settings, is_done, plan_trials, read_result
from pipeline.errors import DataError


def test_seeds_are_trained_one_after_the_other(tmp_path: Path) -> None:
    trials = plan_trials(tmp_path, ("pytorch", "keras"), (1, 2), (0, 7))
    assert len({trial.directory for trial in trials}) == 8
    assert [trial.seed for trial in trials] == [0] * 4 + [7] * 4
    assert str(trials[3]) == "Keras, 2 ranks, seed 0"


def write_run(trial: Trial, *records: dict[str, Any], **settings: Any) -> None:
    trial.directory.mkdir(parents=True)
    common = {"process": 1, "position": 10, "epoch": 2.0}
    lines = [json.dumps({**common, **record}) + "\n" for record in records]
    (trial.directory / "metrics.jsonl").write_text("".join(lines))
    config = {**settings, "resolved": {"fingerprint": "abc"}}
    (trial.directory / "config.json").write_text(json.dumps(config))


def test_a_trial_is_done_when_its_training_ended(tmp_path: Path) -> None:
    trial, *_ = plan_trials(tmp_path, ("pytorch",), (1,), (0,))
    assert not is_done(trial)
    scores = [
        {"kind": "evaluation", "elapsed_seconds": 9.0 * n, "loss": 1.0, "samples": 50, "top1": top1}
        for n, top1 in enumerate((0.5, 0.8, 0.7), start=1)
    ]
    write_run(trial, *scores, seed=0, epochs=2, crop_area=(0.5, 1), shards="there", out="here")
    assert not is_done(trial)
    with pytest.raises(DataError, match="has no finished training"):
        read_result(trial, metric="top1", target=None)
    rates: dict[str, Any] = {
        "warmup": {"images": 100, "seconds": 9.0, "images_per_second": 100 / 9, "data_share": 0.0},
        "first_epoch": None,
        "later_epochs": {"images": 800, "seconds": 16.0, "images_per_second": 50.0},
        "total": {"images": 900, "seconds": 25.0, "images_per_second": 36.0, "data_share": 0.25},
    }
    with (trial.directory / "metrics.jsonl").open("a") as file:
        summary = {"kind": "summary", "elapsed_seconds": 30.0, **rates}
        file.write(json.dumps({"process": 1, "position": 10, "epoch": 2.0, **summary}) + "\n")
    assert is_done(trial)
    finished = read_result(trial, metric="top1", target=0.75)
    assert (finished.seconds, finished.epochs, finished.score, finished.best) == (
        30.0,
        2.0,
        0.7,
        0.8,
    )
    assert (finished.target_seconds, finished.starts, finished.evaluated) == (18.0, 2, 50)
    assert read_result(trial, metric="top1", target=0.9).target_seconds is None
    # The first 100 images took 9 s, later ones take 2.
    assert (finished.images_per_second, finished.start_seconds) == (50.0, 7.0)
    assert (finished.data_seconds, finished.compute_seconds) == (4.5, 13.5)


@pytest.mark.parametrize(
    ("changed", "fingerprint", "sentence"),
    [
        ({"epochs": 3}, "abc", "trained with --epochs 2, this study has 3"),
        ({"crop_area": (0.1, 1)}, "abc", r"trained with --crop-area \[0.5, 1\], this study has"),
        ({}, "def", "trained on other shards: give another --out"),
    ],
)
def test_a_trial_with_other_settings_is_rejected(
    tmp_path: Path, changed: dict[str, Any], fingerprint: str, sentence: str
) -> None:
    trial, *_ = plan_trials(tmp_path, ("pytorch",), (1,), (7,))
    same = {"epochs": 2, "crop_area": (0.5, 1), "shards": "elsewhere", "new": 1}
    check_settings(trial, same, fingerprint)
    write_run(trial, seed=7, epochs=2, crop_area=(0.5, 1), shards="there")
    check_settings(trial, same, "abc")
    with pytest.raises(DataError, match=sentence):
        check_settings(trial, same | changed, fingerprint)
