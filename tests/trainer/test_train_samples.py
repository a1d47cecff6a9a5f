"""Runs with --train-samples: the same on two ranks, resumed with their part only, evaluated."""

import json
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.config import PipelineConfig
from pipeline.errors import DataError
from tests.helpers import tiny_trainer
from tests.helpers.cli import invoke
from tests.helpers.handmade import write_splits
from tests.helpers.parts_of_splits import SAMPLES, assert_trained_alike, part_settings
from tests.helpers.processes import exit_codes, lines, start_ranks
from trainer.config import Settings
from trainer.data import open_data, task_of
from trainer.evaluate import main as evaluate
from trainer.predict import main as predict
from trainer.resolve import resolve
from trainer.tasks.tasks import Regression


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_splits(tmp_path_factory.mktemp("part") / "shards", samples=SAMPLES)


@pytest.fixture(scope="module")
def trained(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / "one"
    tiny_trainer.train(**settings(shards, out))
    return out


def settings(shards: Path, out: Path, **changes: Any) -> dict[str, Any]:
    return part_settings(shards, out, **{"train_samples": "40%", **changes})


def test_two_ranks_train_as_one_does(
    shards: Path, trained: Path, tmp_path: Path, loaded: ForkServerContext
) -> None:
    ranks = start_ranks(loaded, 2, **settings(shards, tmp_path / "two"))
    assert exit_codes(ranks) == [0, 0]
    # 12 of 31 samples, twice.
    assert_trained_alike(trained, tmp_path / "two", positions=[6, 12, 18, 24], evaluated=14)


def test_whole_splits_are_evaluated_and_predicted(
    shards: Path, trained: Path, tmp_path: Path
) -> None:
    (*_, logged) = lines(trained, "evaluation")
    for split, samples in SAMPLES.items():
        result = invoke(evaluate, trained, "--split", split)
        assert result.exit_code == 0, result.output
        record = json.loads(result.output.splitlines()[-1])
        assert record["samples"] == samples
        if split == "val":
            assert record["top1_correct"] == logged["top1_correct"]
    table = tmp_path / "train.csv"
    words = ("--split", "train", "--format", "labels", "--out", table, "--shards", shards)
    result = invoke(predict, trained, *words)
    assert result.exit_code == 0, result.output
    assert len(table.read_text().splitlines()) == 1 + SAMPLES["train"]


def test_a_run_says_its_part_and_resumes_with_it_only(
    shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    tiny_trainer.train(**settings(shards, out, epochs=0.5))
    output = capsys.readouterr().out
    assert "on 12 samples" in output
    assert "Training on 12 of the 31 samples of train (--train-samples 40%), of each" in output
    config = json.loads((out / "config.json").read_text())
    assert (config["train_samples"], config["resolved"]["samples"]) == ("40%", 12)
    for part in ("12", "100%", None):
        with pytest.raises(DataError, match="was saved with --train-samples 40%: give that, or"):
            tiny_trainer.train(**settings(shards, out, epochs=1, train_samples=part))
    whole = tmp_path / "whole"
    tiny_trainer.train(**settings(shards, whole, epochs=0.5, train_samples=None))
    state = torch.load(whole / "checkpoint.pt", weights_only=True)
    del state["identity"]["train_samples"]  # as an earlier version saved it
    torch.save(state, whole / "checkpoint.pt")
    with pytest.raises(DataError, match="with all training samples: omit --train-samples, or"):
        tiny_trainer.train(**settings(shards, whole, epochs=1))
    tiny_trainer.train(**settings(shards, whole, epochs=1, train_samples=None))


def test_defaults_and_targets_follow_the_part(tmp_path: Path) -> None:
    columns = {"classes": (), "targets": ("beauty", "weight")}
    shards = write_splits(tmp_path / "shards", "regression", samples=SAMPLES, **columns)
    config = PipelineConfig(shards=str(shards), train_samples="9", fold="2/5")
    data = open_data(config, synthetic=False)
    assert data.train is not None and data.samples == 9
    task = task_of(data, label_smoothing=0)
    assert isinstance(task, Regression)
    targets = data.train.targets[data.train.rows()].astype(np.float64)
    assert len(targets) == 9
    assert task.means == pytest.approx(targets.mean(axis=0))
    assert data.dataset is not None and data.mean == data.dataset.manifest.mean
    # 8 of 9 samples, for 1,000 steps.
    chosen = resolve(Settings.from_options(train_samples="9", fold="2/5"), data).recipe
    assert (chosen.global_batch_size, chosen.epochs) == (8, 889)
