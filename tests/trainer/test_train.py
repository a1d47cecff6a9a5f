"""Runs in one process: training, stopping, resuming, and rejected options."""

import dataclasses
import json
import os
import signal
import time
from collections.abc import Iterator
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

import trainer.train
import trainer.validation
from pipeline.errors import DataError
from tests.helpers import tiny_trainer
from tests.helpers.processes import exit_codes, lines, start_ranks
from tests.helpers.runs import GLOBAL_BATCH_SIZE, saved, stop_after, train
from trainer.__main__ import main
from trainer.loop import StepRecord


@pytest.mark.long
def test_trains_on_the_digits(digits_shards: Path, tmp_path: Path) -> None:
    settings = {"model": tiny_trainer.MODEL, "optimizer": "adamw", "learning_rate": 0.004}
    state = train(digits_shards, tmp_path, steps=100, label_smoothing=0.05, **settings)
    assert state["progress"]["position"] == 100 * GLOBAL_BATCH_SIZE
    assert state["progress"]["best"]["top1"] > 0.5
    evaluations = lines(tmp_path, "evaluation")
    assert [int(line["epoch"]) for line in evaluations] == [1, 2, 3, 3]
    assert state["progress"]["best"]["top1"] == max(line["top1"] for line in evaluations)
    intervals = lines(tmp_path, "train")
    assert sum(line["images"] for line in intervals) == 100 * GLOBAL_BATCH_SIZE
    assert intervals[-1]["loss"] < intervals[0]["loss"]
    assert json.loads((tmp_path / "config.json").read_text())["label_smoothing"] == 0.05


@pytest.mark.parametrize(
    "settings",
    [
        {"model": "resnet8"},
        pytest.param(
            {
                "model": "squeezenet1_1",
                "ema_decay": 0.5,
                "grad_clip_norm": 1.0,
                "accumulate_steps": 2,
                "precision": "fp16",
            },
            marks=pytest.mark.long,
        ),
    ],
)
def test_a_resumed_run_equals_an_uninterrupted_one(
    digits_shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
) -> None:
    whole = train(digits_shards, tmp_path / "whole", **settings)
    with monkeypatch.context() as patch, pytest.raises(SystemExit) as stopped:
        stop_after(patch, 3)
        train(digits_shards, tmp_path / "parts", **settings)
    assert stopped.value.code == 128 + signal.SIGTERM
    assert saved(tmp_path / "parts")["progress"]["position"] == 3 * GLOBAL_BATCH_SIZE
    parts = train(digits_shards, tmp_path / "parts", **settings)
    assert parts["progress"] == whole["progress"]
    for name, tensor in whole["network"].items():
        assert torch.equal(tensor, parts["network"][name]), name
    for name, tensor in (whole["ema"] or {}).items():
        assert torch.equal(tensor, parts["ema"][name]), name
    assert parts["scaler"] == whole["scaler"]
    assert (whole["ema"] is None) == ("ema_decay" not in settings)
    ends = [line["position"] for line in lines(tmp_path / "parts", "train")]
    assert [end // GLOBAL_BATCH_SIZE for end in ends] == [2, 3, 5, 6]


def test_a_signal_during_an_evaluation_saves_and_postpones_it(
    digits_shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = trainer.validation.evaluate

    def interrupted(*arguments: Any, **settings: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        return original(*arguments, **settings)

    with monkeypatch.context() as patch, pytest.raises(SystemExit) as stopped:
        patch.setattr(trainer.validation, "evaluate", interrupted)
        train(digits_shards, tmp_path, steps=2)
    assert stopped.value.code == 128 + signal.SIGINT
    assert saved(tmp_path)["progress"]["position"] == 2 * GLOBAL_BATCH_SIZE
    assert lines(tmp_path, "evaluation") == []
    train(digits_shards, tmp_path, steps=2)
    assert len(lines(tmp_path, "evaluation")) == 1
    assert len(lines(tmp_path, "train")) == 1


def test_a_nonfinite_loss_names_step_samples_and_checkpoint(
    digits_shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = trainer.train.train_steps

    def broken(*arguments: Any, **settings: Any) -> Iterator[StepRecord]:
        for number, record in enumerate(original(*arguments, **settings), start=1):
            yield dataclasses.replace(record, loss=record.loss * (torch.inf if number == 3 else 1))

    monkeypatch.setattr(trainer.train, "train_steps", broken)
    with pytest.raises(DataError) as error:
        train(digits_shards, tmp_path, model="squeezenet1_1", checkpoint_minutes=1e-9, log_every=4)
    assert error.match(r"step 3 of the run .*sample \d{9} of .*train-000000\.tar")
    assert error.match(rf"and 61 more, listed in nonfinite\.csv.*good checkpoint is {tmp_path}")
    assert len((tmp_path / "nonfinite.csv").read_text().splitlines()) == GLOBAL_BATCH_SIZE + 1
    assert saved(tmp_path)["progress"]["position"] == 2 * GLOBAL_BATCH_SIZE


def test_a_complete_run_makes_no_step(
    digits_shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = train(digits_shards, tmp_path, steps=1)
    again = train(digits_shards, tmp_path, steps=1)
    assert again["progress"] == first["progress"]
    assert "already complete" in capsys.readouterr().out


def test_resuming_lists_changed_settings(
    digits_shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(digits_shards, tmp_path, steps=1)
    train(digits_shards, tmp_path, steps=2, learning_rate=0.05)
    output = capsys.readouterr().out
    assert "learning_rate 0.1 -> 0.05" in output
    assert "Resuming from" in output


def test_sigusr1_saves_and_stops(
    digits_shards: Path, tmp_path: Path, loaded: ForkServerContext
) -> None:
    (process,) = start_ranks(
        loaded, 1, shards=str(digits_shards), out=str(tmp_path), threads=1, log_every=1
    )
    metrics = tmp_path / "metrics.jsonl"
    while process.is_alive() and not (metrics.exists() and metrics.stat().st_size):
        time.sleep(0.02)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGUSR1)
    assert exit_codes([process]) == [128 + signal.SIGUSR1]
    position = saved(tmp_path)["progress"]["position"]
    assert position == lines(tmp_path, "train")[-1]["position"] > 0


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (["--synthetic", "--sync-bn", "--device", "cpu"], 2, "supports it only on GPUs"),
        (
            ["--synthetic", "--accumulate-steps", "3"],
            2,
            "does not divide the batch size per rank, 256",
        ),
        (["--synthetic", "--model", "resnet51"], 2, "Similar: resnet56, resnet50"),
        (
            ["--synthetic", "--model", "resnet8", "--pretrained", "imagenet"],
            2,
            "there are no such weights for resnet8",
        ),
        (["--synthetic", "--image-size", "32", "--resume", "nowhere"], 2, "no checkpoint"),
        (["--synthetic", "--image-size", "32", "--out", "strange"], 2, "holds notes.txt"),
    ],
)
def test_rejects_bad_arguments(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    exit_code: int,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "strange").mkdir()
    (tmp_path / "strange" / "notes.txt").touch()
    model = [] if "--model" in arguments else ["--model", "squeezenet1_1"]
    result = CliRunner().invoke(main, [*model, *arguments])
    assert result.exit_code == exit_code
    assert message in result.output
    assert [path.name for path in tmp_path.rglob("*")] == ["strange", "notes.txt"]


def test_rejects_a_checkpoint_of_other_shards(digits_shards: Path, tmp_path: Path) -> None:
    train(digits_shards, tmp_path, steps=1, model="squeezenet1_1")
    arguments = ["--synthetic", "--image-size", "32", "--model", "squeezenet1_1"]
    result = CliRunner().invoke(main, [*arguments, "--out", str(tmp_path)])
    assert result.exit_code == 1
    assert "other shards" in result.output


def test_stops_at_a_target(digits_shards: Path, tmp_path: Path) -> None:
    settings = {"model": tiny_trainer.MODEL, "target_top1": 0.01, "val_every": 0.1}
    reached = train(digits_shards, tmp_path, steps=20, **settings)
    assert reached["progress"]["best"]["top1"] >= 0.01
    (evaluation,) = lines(tmp_path, "evaluation")
    assert evaluation["elapsed_seconds"] > 0
    assert train(digits_shards, tmp_path, steps=20, **settings)["progress"] == reached["progress"]
