"""A study: its cells, what they came to, and the answers."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from benchmarks.measuring.result_file import read_bundle, seal
from benchmarks.scaling import to_end as scaling_trainings
from benchmarks.scaling.record import LOADER, STRONG, SYNTHETIC, WARM, Parts, Point
from benchmarks.study import run as study_runs
from benchmarks.study.__main__ import main
from benchmarks.study.answers import (
    answer_accuracy,
    answer_faster,
    answer_node,
    answer_plateau,
    verdict,
)
from benchmarks.study.configurations import efficiency, grouped
from benchmarks.study.folder import lock_folder
from benchmarks.study.trials import (
    Outcome,
    Trial,
    check_settings,
    is_done,
    plan_cells,
    read_outcome,
)
from pipeline.errors import DataError
from tests.helpers.cli import invoke
from tests.helpers.scaling_results import scaling
from trainer.__main__ import main as train


def outcome(framework: str, ranks: int, seed: int = 0, **values: Any) -> Outcome:
    plain: dict[str, Any] = {"seconds": 100.0, "epochs": 3.0, "images_per_second": 50.0}
    plain |= {"start_seconds": 1.0, "data_seconds": 1.0, "compute_seconds": 90.0, "starts": 1}
    plain |= {"score": 0.9, "best": 0.9, "evaluated": 10_000, "target_seconds": None}
    cell = Trial(framework=framework, ranks=ranks, seed=seed, directory=Path())
    return Outcome(cell=cell, **{**plain, **values})


def test_each_configuration_comes_once_before_one_comes_twice(tmp_path: Path) -> None:
    cells = plan_cells(tmp_path, ("pytorch", "keras"), (1, 2), (0, 7))
    assert len({cell.directory for cell in cells}) == 8
    assert [cell.seed for cell in cells] == [0] * 4 + [7] * 4
    assert str(cells[3]) == "Keras, 2 ranks, seed 0"


def write_run(cell: Trial, *records: dict[str, Any], **settings: Any) -> None:
    cell.directory.mkdir(parents=True)
    common = {"process": 1, "position": 10, "epoch": 2.0}
    lines = [json.dumps({**common, **record}) + "\n" for record in records]
    (cell.directory / "metrics.jsonl").write_text("".join(lines))
    config = {**settings, "resolved": {"fingerprint": "abc"}}
    (cell.directory / "config.json").write_text(json.dumps(config))


def test_a_cell_is_done_when_its_training_is(tmp_path: Path) -> None:
    cell, *_ = plan_cells(tmp_path, ("pytorch",), (1,), (0,))
    assert not is_done(cell)
    scores = [
        {"kind": "evaluation", "elapsed_seconds": 9.0 * n, "loss": 1.0, "samples": 50, "top1": top1}
        for n, top1 in enumerate((0.5, 0.8, 0.7), start=1)
    ]
    write_run(cell, *scores, seed=0, epochs=2, crop_area=(0.5, 1), shards="there", out="here")
    assert not is_done(cell)
    with pytest.raises(DataError, match="holds no finished training"):
        read_outcome(cell, metric="top1", target=None)
    rates: dict[str, Any] = {
        "warmup": {"images": 100, "seconds": 9.0, "images_per_second": 100 / 9, "data_share": 0.0},
        "first_epoch": None,
        "later_epochs": {"images": 800, "seconds": 16.0, "images_per_second": 50.0},
        "total": {"images": 900, "seconds": 25.0, "images_per_second": 36.0, "data_share": 0.25},
    }
    with (cell.directory / "metrics.jsonl").open("a") as file:
        summary = {"kind": "summary", "elapsed_seconds": 30.0, **rates}
        file.write(json.dumps({"process": 1, "position": 10, "epoch": 2.0, **summary}) + "\n")
    assert is_done(cell)
    found = read_outcome(cell, metric="top1", target=0.75)
    assert (found.seconds, found.epochs, found.score, found.best) == (30.0, 2.0, 0.7, 0.8)
    assert (found.target_seconds, found.starts, found.evaluated) == (18.0, 2, 50)
    assert read_outcome(cell, metric="top1", target=0.9).target_seconds is None
    # The first 100 images took 9 s, later ones take 2.
    assert (found.images_per_second, found.start_seconds) == (50.0, 7.0)
    assert (found.data_seconds, found.compute_seconds) == (4.5, 13.5)


@pytest.mark.parametrize(
    ("changed", "fingerprint", "sentence"),
    [
        ({"epochs": 3}, "abc", "trained with --epochs 2, this study has 3"),
        ({"crop_area": (0.1, 1)}, "abc", r"trained with --crop-area \[0.5, 1\], this study has"),
        ({}, "def", "trained on other shards: give another --out"),
    ],
)
def test_a_cell_of_another_study_stops_this_one(
    tmp_path: Path, changed: dict[str, Any], fingerprint: str, sentence: str
) -> None:
    cell, *_ = plan_cells(tmp_path, ("pytorch",), (1,), (7,))
    same = {"epochs": 2, "crop_area": (0.5, 1), "shards": "elsewhere", "new": 1}
    check_settings(cell, same, fingerprint)
    write_run(cell, seed=7, epochs=2, crop_area=(0.5, 1), shards="there")
    check_settings(cell, same, "abc")
    with pytest.raises(DataError, match=sentence):
        check_settings(cell, same | changed, fingerprint)


def test_faster_is_time_to_the_end_or_way_in_a_time() -> None:
    groups = grouped([outcome("pytorch", 2, seconds=60.0), outcome("pytorch", 1)])
    said = answer_faster(groups, timed=False, target=None)
    assert "the end after 1:00 instead of 1:40 of 1 rank: 1.67 times as fast, where 2" in said
    assert verdict(groups) == "PyTorch, 2 ranks train at 1.00 times the images/s of 1 rank."
    timed = grouped([outcome("keras", 1, epochs=2.0), outcome("keras", 4, epochs=6.0)])
    said = answer_faster(timed, timed=True, target=None)
    assert "Keras, 4 ranks reach 6.00 epochs instead of the 2.00 of 1 rank: 3.00 times" in said
    reached = [outcome("keras", ranks, target_seconds=80.0 / ranks) for ranks in (1, 2)]
    assert "75% after 0:40 instead of 1:20" in answer_faster(
        grouped(reached), timed=False, target=0.75
    )
    assert "nothing to compare" in answer_faster(groups[:1], timed=False, target=None)


def test_accuracy_holds_within_the_spread_of_seeds() -> None:
    def of(*scores: tuple[int, int, float], evaluated: int = 10_000) -> str:
        outcomes = [
            outcome("pytorch", ranks, seed, score=top1, evaluated=evaluated)
            for ranks, seed, top1 in scores
        ]
        return answer_accuracy(grouped(outcomes), "top1")

    close = of((1, 0, 0.90), (1, 1, 0.92), (2, 0, 0.915), (2, 1, 0.915))
    assert "0.50 points apart; seeds of one configuration are up to 2.00 points apart" in close
    assert "accuracy holds" in close
    assert "accuracy differs" in of((1, 0, 0.9), (1, 1, 0.91), (2, 0, 0.8), (2, 1, 0.81))
    # By hand: 1.96 * sqrt(2 * 0.9775 * 0.0225 / 400).
    few = of((1, 0, 0.98), (1, 1, 0.98), (2, 0, 0.975), (2, 1, 0.975), evaluated=400)
    assert "on 400 images 2.06 points may be chance: accuracy holds" in few
    assert "one seed each says nothing of chance" in of((1, 0, 0.9), (2, 0, 0.8))
    assert "no validation split" in answer_accuracy(
        grouped([outcome("pytorch", 1, score=None)]), "top1"
    )
    fits = grouped([outcome("pytorch", ranks, score=0.5 + ranks / 10) for ranks in (1, 2)])
    assert "R2 is from 0.6000 (PyTorch, 1 rank) to 0.7000" in answer_accuracy(fits, "r2")


def test_a_plateau_has_its_reason() -> None:
    groups = grouped([outcome("pytorch", 1), outcome("pytorch", 2, images_per_second=60.0)])
    assert efficiency(groups[1], groups) == pytest.approx(0.6)
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
        gates=(),
    )
    said = answer_plateau(groups, [point])
    assert "PyTorch flattens: the steps of 2 ranks are 60% efficient (strong scaling)." in said
    assert "loses 30% to communication, 10% to compute of a step; It is bound" in said


def test_one_more_node_is_predicted() -> None:
    prediction = {
        "median": {"1 rank": 10.0, "2 ranks": 18.0, "4 ranks": 27.0},
        "predictions": [{"limit": "compute"}, {"limit": "compute"}, {"limit": "network"}],
    }
    said = answer_node(prediction, 2)
    assert "27.00 images/s instead of 18.00, 1.50 times as many" in said and "network" in said
    assert answer_node(prediction, 8) == "Not predicted for 16 ranks."


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Trainings run in this process, the ladder is made up: what was started, in order."""
    started: list[str] = []

    def in_this_process(benchmark: Any, ranks: int, *arguments: str, **others: Any) -> None:
        started.append(arguments[1])
        result = CliRunner().invoke(train, arguments[2:])
        if result.exit_code:
            raise DataError("the rank failed")

    def ladder(study: Any, settings: Any, told: dict[str, Any]) -> None:
        started.append("ladder")
        path = scaling(Path(study.output), {1: {SYNTHETIC: 100, LOADER: 60, WARM: 105}})
        of_ladder = {name: getattr(study, name) for name in ("ranks", "batch_size", "seconds")}
        stated = settings.to_dict() | told | of_ladder | {"runs": study.runs}
        bundle = {**read_bundle(path), "settings": stated}
        del bundle["sha256"]
        path.write_text(json.dumps(seal(bundle)))

    monkeypatch.setattr(scaling_trainings, "torchrun", in_this_process)
    monkeypatch.setattr(study_runs, "measure_ladder", ladder)
    return started


def test_a_study_goes_on_where_it_stopped(
    at_once: list[str], digits_shards: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "study"
    study = ("--data", digits_shards, "--ranks", "1", "--seeds", "0,1", "--out", folder)
    study += ("--device", "cpu", "--model", "squeezenet1_1", "--epochs", "0.05")
    study += ("--global-batch-size", "32")
    first = invoke(main, *study, "--max-bad", "0.5")
    assert first.exit_code == 0, first.output
    assert at_once == ["trainer", "trainer", "ladder"]
    bundle = read_bundle(folder / "study.json")
    (configuration,) = bundle["configurations"]
    assert [seed["starts"] for seed in configuration["seeds"]] == [1, 1]
    assert bundle["median"].keys() == {"PyTorch, 1 rank"} and len(bundle["answers"]) == 4
    page = (folder / "report" / "report.md").read_text()
    assert page.startswith(f"# {bundle['finding']}") and "Not among what was given" not in page
    assert "| PyTorch, 1 rank, seed 1 |" in page and (folder / "report" / "study-time.png").exists()

    refused = invoke(main, *study, "--max-bad", "0.4")
    assert refused.exit_code == 1 and "with --max-bad 0.5, this study has 0.4" in refused.output

    # As if it had been killed while the second training ran, which is what its end is made of.
    metrics = folder / "cells" / "pytorch-1-seed1" / "metrics.jsonl"
    metrics.write_text("".join(metrics.read_text().splitlines(keepends=True)[:-1]))
    at_once.clear()
    again = invoke(main, *study, "--max-bad", "0.5")
    assert again.exit_code == 0, again.output
    assert at_once == ["trainer"] and "1 of 2: PyTorch, 1 rank, seed 0 is done." in again.output
    at_once.clear()
    assert invoke(main, *study, "--max-bad", "0.5", "--seconds", "0.1").exit_code == 0
    assert at_once == ["ladder"]


HOLD = "import sys, time; from benchmarks.study.folder import lock_folder\n"
HOLD += (
    "with lock_folder(__import__('pathlib').Path(sys.argv[1])): print('held', flush=True); input()"
)


def test_a_folder_is_one_study_s(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    command = [sys.executable, "-c", HOLD, str(folder)]
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        refused = pytest.raises(DataError, match="is held by a study that still runs")
        with refused, lock_folder(folder, wait_seconds=0):
            pass
        other.kill()
    with lock_folder(folder, wait_seconds=0) as lock:
        assert lock > 2


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("--frameworks", "pytorch,mxnet"), 2, "no list of pytorch and keras"),
        (("--seeds", "0,-1"), 2, "no list of seeds"),
        (("--to-end",), 2, "A study trains to the end"),
        (("--synthetic",), 2, "real input"),
        (("--data", "nowhere"), 1, "nowhere holds no complete shards"),
        (("--ranks", "1,3"), 2, "can't be divided by 3 ranks"),
        (("--between", "string"), 2, "--between string is not a link"),
        (("--resume", "never"), 2, "A study goes on by itself"),
        (("--model", "resnet51"), 2, "no classifier 'resnet51'"),
        (("--out", __file__), 2, "is a file: give a folder"),
        (("--frameworks", "keras", "--model", "vgg11"), 2, "not for vgg11"),
        (("--frameworks", "keras", "--mixup-alpha", "0.2"), 2, "isn't told --mixup-alpha"),
        (("--frameworks", "keras", "--environment", __file__), 1, "for Keras can be made in"),
    ],
)
def test_the_command_refuses(
    at_once: list[str],
    digits_shards: Path,
    tmp_path: Path,
    arguments: tuple[str, ...],
    code: int,
    sentence: str,
) -> None:
    plain = ("--shards", digits_shards, "--device", "cpu", "--ranks", "1", "--out", tmp_path)
    result = invoke(main, *plain, *arguments)
    assert result.exit_code == code and sentence in " ".join(result.output.split())
    assert not at_once
