"""bench-study: its trials, their results, and the answers."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from benchmarks.measuring.result_file import read_bundle, seal
from benchmarks.scaling import whole_trainings as to_end
from benchmarks.scaling.record import LOADER, STRONG, SYNTHETIC, WARM, Parts, Point
from benchmarks.study import run
from benchmarks.study.__main__ import main
from benchmarks.study.configurations import efficiency, group_results
from benchmarks.study.findings import (
    answer_accuracy,
    answer_faster,
    answer_node,
    answer_plateau,
    find_speed_up,
)
from benchmarks.study.folder import lock_folder
from benchmarks.study.trials import (
    Trial,
    TrialResult,
    check_settings,
    is_done,
    plan_trials,
    read_result,
)
from pipeline.errors import DataError
from tests.helpers.cli import invoke
from tests.helpers.scaling_results import scaling
from trainer.__main__ import main as train


def result(framework: str, ranks: int, seed: int = 0, **values: Any) -> TrialResult:
    plain: dict[str, Any] = {"seconds": 100.0, "epochs": 3.0, "images_per_second": 50.0}
    plain |= {"start_seconds": 1.0, "data_seconds": 1.0, "compute_seconds": 90.0, "starts": 1}
    plain |= {"score": 0.9, "best": 0.9, "evaluated": 10_000, "target_seconds": None}
    trial = Trial(framework=framework, ranks=ranks, seed=seed, directory=Path())
    return TrialResult(trial=trial, **{**plain, **values})


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


def test_faster_means_time_to_the_end_or_epochs_in_a_fixed_time() -> None:
    configurations = group_results([result("pytorch", 2, seconds=60.0), result("pytorch", 1)])
    answer = answer_faster(configurations, timed=False, target=None)
    assert (
        "finish after 1:00 instead of 1:40 on 1 rank: 1.67 times as fast (ideal: 2 times)" in answer
    )
    assert (
        find_speed_up(configurations)
        == "PyTorch, 2 ranks train at 1.00 times the images/s of 1 rank."
    )
    timed = group_results([result("keras", 1, epochs=2.0), result("keras", 4, epochs=6.0)])
    answer = answer_faster(timed, timed=True, target=None)
    assert "Keras, 4 ranks train 6.00 epochs instead of 2.00 on 1 rank: 3.00 times" in answer
    reached = [result("keras", ranks, target_seconds=80.0 / ranks) for ranks in (1, 2)]
    assert "reach 75% after 0:40 instead of 1:20" in answer_faster(
        group_results(reached), timed=False, target=0.75
    )
    assert "nothing to compare" in answer_faster(configurations[:1], timed=False, target=None)


def test_accuracy_holds_within_the_spread_of_seeds() -> None:
    def answer(*scores: tuple[int, int, float], evaluated: int = 10_000) -> str:
        results = [
            result("pytorch", ranks, seed, score=top1, evaluated=evaluated)
            for ranks, seed, top1 in scores
        ]
        return answer_accuracy(group_results(results), "top1")

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
    assert "no validation split" in answer_accuracy(
        group_results([result("pytorch", 1, score=None)]), "top1"
    )
    fits = group_results([result("pytorch", ranks, score=0.5 + ranks / 10) for ranks in (1, 2)])
    assert "R2 is from 0.6000 (PyTorch, 1 rank) to 0.7000" in answer_accuracy(fits, "r2")


def test_a_plateau_is_explained() -> None:
    configurations = group_results(
        [result("pytorch", 1), result("pytorch", 2, images_per_second=60.0)]
    )
    assert efficiency(configurations[1], configurations) == pytest.approx(0.6)
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


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Trainings run in this process and the ladder is made up; the commands started, in order."""
    starts: list[str] = []

    def in_this_process(benchmark: Any, ranks: int, *arguments: str, **_: Any) -> None:
        starts.append(arguments[1])
        result = CliRunner().invoke(train, arguments[2:])
        if result.exit_code:
            raise DataError("the rank failed")

    def ladder(study: Any, settings: Any, typed: dict[str, Any]) -> None:
        starts.append("ladder")
        path = scaling(Path(study.output), {1: {SYNTHETIC: 100, LOADER: 60, WARM: 105}})
        of_ladder = {name: getattr(study, name) for name in ("ranks", "batch_size", "seconds")}
        stated = settings.to_dict() | typed | of_ladder | {"runs": study.runs}
        bundle = {**read_bundle(path), "settings": stated}
        del bundle["sha256"]
        path.write_text(json.dumps(seal(bundle)))

    monkeypatch.setattr(to_end, "torchrun", in_this_process)
    monkeypatch.setattr(run, "measure_ladder", ladder)
    return starts


def test_an_interrupted_study_resumes(
    started: list[str], digits_shards: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "study"
    study = ("--data", digits_shards, "--ranks", "1", "--seeds", "0,1", "--out", folder)
    study += ("--device", "cpu", "--model", "squeezenet1_1", "--epochs", "0.05")
    study += ("--global-batch-size", "32")
    first = invoke(main, *study, "--max-bad", "0.5")
    assert first.exit_code == 0, first.output
    assert started == ["trainer", "trainer", "ladder"]
    bundle = read_bundle(folder / "study.json")
    (configuration,) = bundle["configurations"]
    assert [seed["starts"] for seed in configuration["seeds"]] == [1, 1]
    assert bundle["median"].keys() == {"PyTorch, 1 rank"} and len(bundle["answers"]) == 4
    page = (folder / "report" / "report.md").read_text()
    assert page.startswith(f"# {bundle['finding']}") and "Not included" not in page
    assert "| PyTorch, 1 rank, seed 1 |" in page and (folder / "report" / "study-time.png").exists()

    rejected = invoke(main, *study, "--max-bad", "0.4")
    assert rejected.exit_code == 1 and "with --max-bad 0.5, this study has 0.4" in rejected.output

    # As if the study had been killed during the second training.
    metrics = folder / "cells" / "pytorch-1-seed1" / "metrics.jsonl"
    metrics.write_text("".join(metrics.read_text().splitlines(keepends=True)[:-1]))
    started.clear()
    again = invoke(main, *study, "--max-bad", "0.5")
    assert again.exit_code == 0, again.output
    assert started == ["trainer"] and "1 of 2: PyTorch, 1 rank, seed 0 is done." in again.output
    started.clear()
    assert invoke(main, *study, "--max-bad", "0.5", "--seconds", "0.1").exit_code == 0
    assert started == ["ladder"]


HOLD = "import sys, time; from benchmarks.study.folder import lock_folder\n"
HOLD += (
    "with lock_folder(__import__('pathlib').Path(sys.argv[1])): print('held', flush=True); input()"
)


def test_one_study_uses_a_folder_at_a_time(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    command = [sys.executable, "-c", HOLD, str(folder)]
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        rejected = pytest.raises(DataError, match="Another bench-study is running in")
        with rejected, lock_folder(folder, wait_seconds=0):
            pass
        other.kill()
    with lock_folder(folder, wait_seconds=0) as lock:
        assert lock > 2


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("--frameworks", "pytorch,mxnet"), 2, "'mxnet' is not one of 'pytorch', 'keras'"),
        (("--seeds", "0,-1"), 2, "-1 is not in the range x>=0"),
        (("--to-end",), 2, "No such option"),
        (("--synthetic",), 2, "real input"),
        (("--data", "nowhere"), 1, "nowhere holds no complete shards"),
        (("--ranks", "1,3"), 2, "can't be divided by 3 ranks"),
        (("--between", "string"), 2, "--between string is not a link"),
        (("--resume", "never"), 2, "bench-study always resumes"),
        (("--model", "resnet51"), 2, "--model resnet51: no such classification model"),
        (("--out", __file__), 2, "is a file: give a folder"),
        (("--frameworks", "keras", "--model", "vgg11"), 2, "--model vgg11 is not supported"),
        (("--frameworks", "keras", "--mixup-alpha", "0.2"), 2, "--mixup-alpha is not supported"),
        (
            ("--frameworks", "keras", "--environment", __file__),
            1,
            "The virtualenv for Keras can't be created in",
        ),
    ],
)
def test_the_command_rejects(
    started: list[str],
    digits_shards: Path,
    tmp_path: Path,
    arguments: tuple[str, ...],
    code: int,
    sentence: str,
) -> None:
    plain = ("--shards", digits_shards, "--device", "cpu", "--ranks", "1", "--out", tmp_path)
    outcome = invoke(main, *plain, *arguments)
    assert outcome.exit_code == code and sentence in " ".join(outcome.output.split())
    assert not started
