"""bench-study on several parts of the samples: its options, answers and report."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.measuring.result_file import read_bundle
from benchmarks.report.study_record import Configuration, TrialResult
from benchmarks.study.__main__ import main
from benchmarks.study.configurations import group_results
from benchmarks.study.learning_curve import answer_more_data, find_more_data
from benchmarks.study.parts import LENGTHS, Part, options_of_part
from benchmarks.study.trials import plan_trials
from tests.helpers import tiny_trainer
from tests.helpers.cli import invoke
from tests.helpers.handmade import write_splits
from tests.helpers.trainings_here import train_here
from trainer.config import Settings
from trainer.data import end_position
from trainer.run.metrics_reader import read_records

SAMPLES = {"train": 31, "val": 14}


def curve(
    *parts: tuple[int, Sequence[float | None]], evaluated: int = 10_000, framework: str = "pytorch"
) -> list[Configuration]:
    """Configurations of parts: their samples, and the score of each seed."""
    plain: dict[str, Any] = {"seconds": 100.0, "epochs": 3.0, "images_per_second": 50.0}
    plain |= {"start_seconds": 1.0, "data_seconds": 1.0, "compute_seconds": 90.0, "starts": 1}
    plain |= {"best": None, "evaluated": evaluated, "target_seconds": None}
    drawn = [Part(text=str(samples), samples=samples) for samples, _ in parts]
    scores = dict(parts)
    trials = plan_trials(Path(), (framework,), (2,), range(len(parts[0][1])), drawn)
    return group_results(
        {
            trial: TrialResult(
                cell=str(trial), score=scores[trial.part.samples][trial.seed], **plain
            )
            for trial in trials
            if trial.part
        }
    )


def test_each_seed_has_each_part_in_a_folder_of_its_own(tmp_path: Path) -> None:
    parts = [Part(text="10%", samples=1500), Part(text="100%", samples=15_000)]
    trials = plan_trials(tmp_path, ("pytorch",), (1,), (4, 7), parts)
    assert [trial.directory.name for trial in trials[:2]] == [
        "pytorch-1-1500samples-seed4",
        "pytorch-1-15000samples-seed4",
    ]
    assert str(trials[3]) == "PyTorch, 1 rank, 15,000 samples, seed 7"
    assert len({trial.directory for trial in trials}) == 4


@given(
    samples=st.integers(1, 10**6),
    times=st.floats(1, 100),
    epochs=st.floats(0.01, 100),
    size=st.sampled_from([1, 8, 96, 256]),
)
def test_all_parts_train_for_as_many_steps(
    samples: int, times: float, epochs: float, size: int
) -> None:
    largest = Part(text="100%", samples=max(samples, round(times * samples)))
    part = Part(text="P", samples=samples)
    settings = Settings.from_options(epochs=epochs, warmup_epochs=epochs / 10).to_dict()
    options = options_of_part(part, largest, settings, fixed=frozenset())
    assert options["train_samples"] == "P"

    def steps(samples: int, epochs: float) -> int:
        return end_position(epochs, samples=samples, global_batch_size=size) // size

    assert abs(steps(samples, options["epochs"]) - steps(largest.samples, epochs)) <= 1
    assert options["warmup_epochs"] == pytest.approx(options["epochs"] / 10)
    assert isinstance(options["progressive_epochs"], int)
    Settings.from_options(**options | {"train_samples": None})
    timed = options_of_part(part, largest, settings, fixed=frozenset(LENGTHS) - {"val_every"})
    assert "epochs" not in timed


def test_more_data_helps_if_each_seed_gains_more_than_seeds_and_chance_differ() -> None:
    parts = curve((1000, (0.5, 0.52)), (5000, (0.6, 0.61)), (20_000, (0.7, 0.72)))
    # 10.5 points over two doublings; by hand: 1.96 * sqrt(2 * 0.6575 * 0.3425 / 10,000).
    assert answer_more_data(parts, "top1") == (
        "PyTorch: from 5,000 to 20,000 samples top-1 changes from 60.50% to 71.00%, by 10.50 "
        "percentage points (seeds: 10.00 to 11.00 percentage points), which is 5.25 percentage "
        "points for each doubling; seeds of one part differ by up to 2.00 percentage points, "
        "chance on 10,000 images makes up to 1.32 percentage points: more data would help. Twice "
        "the 20,000 samples would give about 5.25 percentage points if the curve goes on, less if "
        "it flattens."
    )
    assert find_more_data(parts, "top1") == (
        "More data would help: from 5,000 to 20,000 samples top-1 changes from 60.50% to 71.00%."
    )


@pytest.mark.parametrize(
    ("metric", "before", "after", "evaluated"),
    [
        ("top1", (0.60, 0.64), (0.63, 0.66), 10_000),  # within the spread of seeds
        ("top1", (0.60, 0.60), (0.62, 0.62), 400),  # within chance
        ("top1", (0.60, 0.65), (0.70, 0.65), 10_000),  # one seed does not gain
        ("top1", (0.70, 0.70), (0.60, 0.60), 10_000),
        ("r2", (0.5, 0.55), (0.54, 0.58), 10_000),
    ],
)
def test_a_gain_within_noise_shows_nothing(
    metric: str, before: tuple[float, ...], after: tuple[float, ...], evaluated: int
) -> None:
    parts = curve((1000, before), (2000, after), evaluated=evaluated)
    answer = answer_more_data(parts, metric)
    assert "the curve does not show that more data would help." in answer
    assert answer.endswith(
        "trained too briefly would not show it either: compare with more --epochs."
    )
    assert find_more_data(parts, metric).startswith("The curve does not show that")


def test_one_seed_or_no_validation_split_gives_no_answer() -> None:
    assert "one seed does not show the spread: give several to --seeds." in answer_more_data(
        curve((10, (0.5,)), (20, (0.9,))), "top1"
    )
    unscored = curve((10, (None, None)), (20, (None, None)))
    assert answer_more_data(unscored, "top1") == find_more_data(unscored, "top1")
    assert "There is no validation split" in find_more_data(unscored, "top1")
    numbers = answer_more_data(curve((10, (0.5, 0.51)), (20, (0.9, 0.9))), "r2")
    assert "by 0.3950 (seeds: 0.3900 to 0.4000), which is 0.3950 for each doubling" in numbers
    assert "chance" not in numbers and "more data would help" in numbers


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Trainings run in this process; the modules started, in order."""
    return train_here(monkeypatch)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_splits(tmp_path_factory.mktemp("curve") / "shards", samples=SAMPLES)


def test_a_study_of_parts_trains_each_and_draws_the_curve(
    started: list[str], shards: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "study"
    study = ("--data", shards, "--ranks", "1", "--seeds", "7", "--out", folder)
    study += ("--device", "cpu", "--model", tiny_trainer.MODEL, "--epochs", "2", "--threads", "1")
    study += (
        "--global-batch-size",
        "4",
        "--image-size",
        "32",
        "--show-batch",
        "0",
        "--val-every",
        "0",
    )
    done = invoke(main, *study, "--train-samples", "100%,8")
    assert done.exit_code == 0, done.output
    assert started == ["trainer"] * 2
    bundle = read_bundle(folder / "study.json")
    assert [(c["name"], c["samples"]) for c in bundle["configurations"]] == [
        ("PyTorch, 1 rank, 8 samples", 8),
        ("PyTorch, 1 rank, 31 samples", 31),
    ]
    assert list(bundle["answers"]) == ["Would more data help?"]
    assert bundle["settings"]["train_samples"] == ["100%", "8"]
    ends = {
        path.name: (read_records(path)[-1]["position"] // 4)
        for path in (folder / "cells").iterdir()
    }
    assert ends == {f"pytorch-1-{n}samples-seed7": 16 for n in (8, 31)}
    page = (folder / "report" / "report.md").read_text()
    assert page.startswith(f"# {bundle['finding']}") and "learning-curve.png" in page
    assert "| PyTorch, 1 rank, 8 samples, seed 7 |" in page and "efficiency" not in page
    assert (folder / "report" / "learning-curve.png").exists()

    started.clear()
    again = invoke(main, *study, "--train-samples", "8,31,16")
    assert again.exit_code == 1 and "trained with --train-samples 100%, this" in again.output
    again = invoke(main, *study, "--train-samples", "8,100%", "--repeats", "2")
    assert again.exit_code == 1 and "with --repeats 1, this study has 2" in again.output
    assert not started


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--train-samples", "10%,0"), "--train-samples 0: give a number of samples of at least 1"),
        (("--train-samples", "10%,,5"), "--train-samples : give a number"),
        (("--train-samples", "50%,101%"), "--train-samples 101%: give a number"),
        (("--train-samples", "10,32"), "--train-samples 32 is more than the 31 samples of train"),
        (("--train-samples", "2,20"), "too few for a sample of each class: give at least 3"),
        (("--train-samples", "31,100%"), "31,100%: all parts have the same 31 samples"),
        (
            ("--train-samples", "5,10", "--ranks", "1,2"),
            "--ranks 1,2 and several parts in --train-samples are two studies: give one number",
        ),
    ],
)
def test_parts_that_make_no_study_are_refused(
    started: list[str], shards: Path, tmp_path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    fixed = ("--shards", shards, "--device", "cpu", "--model", tiny_trainer.MODEL)
    fixed += ("--global-batch-size", "4", "--out", tmp_path)
    result = invoke(main, *fixed, *arguments)
    assert result.exit_code == 2 and sentence in " ".join(result.output.split())
    assert not started
